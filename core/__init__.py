"""Attendance: companies, people, roles and records; and what a person does with backups of them."""

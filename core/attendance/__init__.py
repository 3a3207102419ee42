"""What people do with the register: records, companies, search, dashboard."""

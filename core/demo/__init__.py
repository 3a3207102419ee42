"""The demo register: invented companies, people and days that look like a real contractor's register.

Pure and deterministic: a :class:`~core.demo.generator.DemoPlan` says what is wanted, and the same plan gives the
same register in every process. Nothing here touches a database, a clock or Django;
:mod:`core.demo.service` stores it.
"""

"""A small practice-management service: clients, appointments, attachments. All of its people are invented.

request -> route -> tables (PostgreSQL), sealed notes, storage (S3), scanner (ClamAV), jobs (Redis -> worker)
"""

"""What the conference tells the outside: webhooks over HTTP, and the CDR file.

`service.py` follows the log, `records.py` makes the events, `outbox.py` keeps what is to be
delivered, `sender.py` decides what is sent when, `endpoint.py` speaks HTTP, `cdr.py` writes files.
"""

"""A shop of django-oscar for tests/integration/test_oscar.py, which runs it on a database directly and by the gateway.

`running` starts the gateway and the shop's programs; each program is a process with `settings`, since Django has one
configuration a process, and prints a JSON line for each request:

- `shop` fills the database;
- `pages` walks shop and dashboard by their links (`browser` is the visitor, `repeatable` the clock and the dice);
- `flows` fills in forms, and sends every form of dashboard and admin as it stands;
- `partner` asks as the mailing partner, whose own pages are in `mailing`.

`rules.yaml` says what the shop's login and the partner's get. Environment: OSCAR_DSN, OSCAR_MEDIA, OSCAR_BINDING=server
for the extended protocol, OSCAR_AGREED_EMAIL and OSCAR_AGREED_NAMES where `mailing` itself has to ask who agreed.
"""

"""Random SQL: a typed generator of PostgreSQL statements, and what the answers through a gateway are held against.

    nodes           trees of text that can be shrunk, and how they are spelled
    sqltypes        types, operators, functions, aggregates
    catalog         what one app finds in its database (learnt by asking the gateway)
    making          the state of one statement's making: random numbers, scopes, budget
    expressions, conditions, sources, queries, writes, utilities     the grammar
    statements      one statement from a seed
    mutations       statements with a few characters wrong
    sending         a statement's way to a server and back, over each protocol
    comparing       what two answers must agree on
    copies          the materialised copy, in which the governed form was applied beforehand
    campaign        many statements: canaries, twins, reference; what was found, and why statements were refused
    smith           Debian's sqlsmith as a second source
    field           the databases of all apps; work spread over processes
    shrink          cuts a failing statement down

Run by hand: python -m tests.strength.random_sql --help
"""

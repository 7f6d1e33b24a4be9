"""The routes of the service: a module for each group, together with the requests and responses that only it has.

A new endpoint is a function in its module; a new module is added to ``ROUTERS`` in `cofactor.apps.web.app`.
"""

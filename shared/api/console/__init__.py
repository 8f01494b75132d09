"""The console: a page that works on the HTTP API with the access token of its user, and is never trusted.

It runs in the browser without a build step or a framework. Its one dependency is MSAL for the browser, copied as it
is in its package.
"""

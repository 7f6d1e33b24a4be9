"""The service: recommendations over HTTP, with the ratings that people give kept in a database."""

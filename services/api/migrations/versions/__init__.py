"""One module a revision. A released one never changes, so none imports from outside this folder."""

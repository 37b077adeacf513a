"""The demo's sites, users and cases. Loads them through the same doors as a hospital."""

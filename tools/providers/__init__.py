"""`docs/providers.md`, made of what the code says: the SDKs, the registry, the price lists and the tests."""

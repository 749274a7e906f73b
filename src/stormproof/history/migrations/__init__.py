"""How the tables came to be what they are; run by `stormproof.history.database`, in order, each once."""

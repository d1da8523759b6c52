"""Events on disk: an SQLite file with their pictures and embeddings, which forgets the oldest and can be searched."""

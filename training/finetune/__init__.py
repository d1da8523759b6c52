"""Fine-tuning: a bundle's own graphs, trained on a user's clips."""

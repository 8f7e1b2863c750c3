"""What others are told: alerts, kept until they are delivered, and what became of every byte that passed."""

"""Pages for people: what is alive, who made it, what it earned; and the wallet's part of it."""

"""HTTP: what apps, agents and watchers speak to."""

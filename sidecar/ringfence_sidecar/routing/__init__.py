"""From a bound connector to an answer: kinds, endpoints, sessions, breakers, retries."""

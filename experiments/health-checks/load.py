"""Visitors of the home page, told apart by what they got: recommendations of their own, or the static list.

An answer's `x-degraded` header says that it is the static one, so the endpoint of a sample is known only when it is
there: "personalised", "static", or "/" for a request that failed.
"""

import random

from locust import FastHttpUser, between, task

CUSTOMERS = 400


class Visitor(FastHttpUser):
    """Somebody who comes for a recommendation."""

    wait_time = between(0.5, 1.5)

    @task
    def be_recommended_something(self) -> None:
        """The home page, for one customer of many."""
        user = random.randint(1, CUSTOMERS)
        with self.client.get(f"/?user=c{user}", name="/", catch_response=True) as answer:
            if answer.status_code == 200:
                kind = "static" if answer.headers.get("x-degraded") else "personalised"
                answer.request_meta["name"] = kind

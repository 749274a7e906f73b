"""Customers who look at a list: each page asks the stock service once for each product on it, at the same time."""

import random

from locust import FastHttpUser, between, task

PRODUCTS = 24
ON_A_PAGE = 4


class Customer(FastHttpUser):
    """Somebody who wants to know what is left."""

    wait_time = between(0.5, 1.5)

    @task
    def look_at_a_list(self) -> None:
        """Four products and what is left of each."""
        numbers = random.sample(range(1, PRODUCTS + 1), ON_A_PAGE)
        self.client.get(f"/stock?products={','.join(map(str, numbers))}", name="/stock")

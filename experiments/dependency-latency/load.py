"""Customers who mostly look: half of the requests are for the page that calls the dependency."""

import random

from locust import FastHttpUser, between, task

CUSTOMERS = 400
PRODUCTS = 20


class Customer(FastHttpUser):
    """Somebody who shops; the tasks' weights are the mix of requests."""

    wait_time = between(0.5, 1.5)

    @task(10)
    def look_around(self) -> None:
        """The home page: products and recommendations."""
        self.client.get("/", name="/")

    @task(8)
    def look_closer(self) -> None:
        """One product; needs no dependency."""
        self.client.get(f"/product/{random.randint(1, PRODUCTS)}", name="/product")

    @task(1)
    def see_cart(self) -> None:
        """What is in the cart."""
        self.client.get(f"/cart/c{random.randint(1, CUSTOMERS)}", name="/cart")

    @task(1)
    def fill_cart(self) -> None:
        """Put a product into the cart."""
        item = f"product-{random.randint(1, PRODUCTS)}"
        self.client.post(f"/cart/c{random.randint(1, CUSTOMERS)}", json={"item": item}, name="/cart")

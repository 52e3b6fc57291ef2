"""`python -m services.tftp`."""

from bootyard.runtime.lifecycle import run_service
from services.tftp.server import main

if __name__ == "__main__":
    run_service("tftp", main, on_the_lan=True)

"""`python -m services.tftp`."""

from bootyard.runtime.lifecycle import run_service
from services.tftp.loop import make_loop
from services.tftp.service import TFTPService

if __name__ == "__main__":
    run_service("tftp", TFTPService().main, on_the_lan=True, make_loop=make_loop)

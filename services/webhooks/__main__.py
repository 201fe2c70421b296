from services.process import run
from services.webhooks.service import main

if __name__ == "__main__":
    run("webhooks", main)

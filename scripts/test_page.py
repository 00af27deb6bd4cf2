#!/usr/bin/env python3
"""report.html in a real browser: what a reader does with it, without a network. Needs Chromium, its driver and
selenium (Debian: chromium, chromium-driver, python3-selenium). Prints page weights and load times.

    scripts/test_page.py HARNESS RUN_DIRECTORY [FOLDER_FOR_PICTURES]
"""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

MANY = 10_000
MOST_BYTES = 6_000_000
MOST_MS = 2_000


def browser(downloads):
    options = webdriver.ChromeOptions()
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    # Whatever asks for a server gets none, and is seen in the log.
    driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    return driver


def screen(driver, width, height=1000, scheme="light", media=""):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def page(harness, run, folder):
    text = subprocess.run([harness, "report", run, "--format", "html"], check=True, capture_output=True).stdout
    again = subprocess.run([harness, "report", run, "--format", "html"], check=True, capture_output=True).stdout
    assert text == again, "the same input gives the same bytes"
    path = folder / "report.html"
    path.write_bytes(text)
    return path


def many(run, folder):
    """The run with its rows repeated, each time in other blocks, until there are 10 000."""
    shutil.copytree(run, folder, dirs_exist_ok=True)
    rows = list(csv.DictReader((run / "cells.csv").open(newline="")))
    blocks = max(int(row["block"]) for row in rows)
    with (folder / "cells.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        for n in range(MANY):
            row = dict(rows[n % len(rows)])
            row["block"] = int(row["block"]) + blocks * (n // len(rows))
            writer.writerow(row)


class Reader:
    def __init__(self, driver, path):
        self.driver, self.path = driver, path

    def open(self, view=""):
        # Another address first: a new fragment alone loads nothing.
        self.driver.get("about:blank")
        self.driver.get(f"file://{self.path}{view}")

    def all(self, selector):
        return [found for found in self.driver.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.one(selector))
        self.one(selector).click()

    def ask(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    def map(self):
        return [row.get_attribute("data-s") for row in self.all(".map tbody tr")]

    def column(self, name):
        heads = [head.get_attribute("data-sort") for head in self.all("#table th button")]
        return [cell.text for cell in self.all(f"#table td:nth-child({heads.index(name) + 1})")]


def filters(reader):
    reader.open()
    servers, sections = reader.map(), len(reader.all("section[data-w]"))
    assert len(servers) > 2 and sections > 2, (servers, sections)
    first, second = sorted(servers)[:2]
    for server in (first, second):
        reader.click(f"#view [value='{server}']")
    assert sorted(reader.map()) == [first, second]
    assert set(reader.column("server")) <= {first, second}
    faded = reader.ask("document.body.dataset.off").split()
    assert len(faded) == len(servers) - 2, faded
    workload = reader.one("#view option:nth-child(3)").get_attribute("value")
    reader.click(f"#view option[value='{workload}']")
    assert len(reader.all("section[data-w]")) == 1
    assert len(reader.all(".map thead th")) == 2
    # The address is the view: opened again it shows the same.
    address = reader.ask("location.hash")
    shown = reader.one("#shown").text
    reader.open(address)
    assert sorted(reader.map()) == [first, second] and len(reader.all("section[data-w]")) == 1
    assert reader.one("#shown").text == shown and "1–" in shown, shown
    reader.click("#view [type=reset]")
    assert reader.map() == servers and len(reader.all("section[data-w]")) == sections
    reader.open("#server=nobody&workload=nothing&sort=nonsense&page=99")
    assert reader.map() == servers and reader.all("#table tbody tr"), "a wrong address shows everything"


def sorts(reader):
    reader.open()
    before = reader.map()
    reader.click(".map thead th:last-child .sort")
    values = [float(cell.get_attribute("data-v")) for cell in reader.all(".map tbody td:last-child[data-v]")]
    assert values == sorted(values), values
    reader.click(".map thead th:last-child .sort")
    reader.click(".map thead th:last-child .sort")
    assert reader.map() == before, "the third time it is as it was"
    reader.click("[data-sort=server_cpu_us_per_request]")
    reader.click("[data-sort=server_cpu_us_per_request]")
    numbers = [float(text) for text in reader.column("server_cpu_us_per_request") if text]
    assert numbers == sorted(numbers, reverse=True) and numbers[0] > numbers[-1], numbers
    assert "sort=-server_cpu_us_per_request" in reader.ask("location.hash")
    reader.click("#next")
    assert reader.one("#shown").text.startswith("101–"), reader.one("#shown").text
    reader.click("#all-columns")
    assert len(reader.all("#table th")) > 80
    # Every column leads to what it says.
    reader.click("#table th:first-child a")
    assert reader.all("#column-schema_version") and "#column-schema_version" in reader.ask("location.hash")


def downloads(reader, run, folder):
    reader.open()
    reader.click("#download")
    path, deadline = folder / "cells.csv", time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # By name: a run of an older version has fewer columns.
    got, expected = (list(csv.DictReader(file.open(newline=""))) for file in (path, run / "cells.csv"))
    for name in ["workload", "block", "throughput_rps", "server_cpu_us_per_request"]:
        assert [row[name] for row in got] == [row[name] for row in expected], name


def keyboard(reader):
    reader.open()
    body = reader.one("body")
    for _ in range(200):
        body = reader.driver.switch_to.active_element
        if reader.ask("document.activeElement.matches('.map td')"):
            break
        body.send_keys(Keys.TAB)
    assert reader.ask("document.activeElement.matches('.map td')"), "Tab leads into the map"
    seen = set()
    for key in [Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.ARROW_UP]:
        reader.driver.switch_to.active_element.send_keys(key)
        cell = reader.driver.switch_to.active_element
        assert cell.find_element(By.CSS_SELECTOR, ".tip").is_displayed(), "a cell that has the focus says why"
        seen.add((reader.ask("document.activeElement.cellIndex"), cell.find_element(By.XPATH, "..").text))
    assert len(seen) == 4, seen
    assert len(reader.all(".tip")) == 1
    without = reader.driver.find_elements(By.CSS_SELECTOR, ".map td.without[tabindex]")
    for cell in without[:1]:
        cell.send_keys("")
        reader.driver.execute_script("arguments[0].focus()", cell)
        assert "no valid figure: " in cell.find_element(By.CSS_SELECTOR, ".tip").text


def looks(reader, pictures):
    def ground():
        return reader.ask("getComputedStyle(document.body).backgroundColor")

    def first_dot():
        return reader.ask("getComputedStyle(document.querySelector('.chart [r]')).fill")

    screen(reader.driver, 1400)
    reader.open()
    light = (ground(), first_dot())
    screen(reader.driver, 1400, scheme="dark")
    dark = (ground(), first_dot())
    assert light[0] == "rgb(255, 255, 255)" and light[0] != dark[0] and light[1] != dark[1], (light, dark)
    screen(reader.driver, 1400, scheme="dark", media="print")
    assert ground() == light[0], "paper is white"
    for width in (400, 700, 1400):
        screen(reader.driver, width)
        reader.open()
        wide = reader.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{width} px: the page is {wide} px too wide"
    # For the documents.
    for name, width, height, scheme in [("light", 1280, 820, "light"), ("dark", 1280, 820, "dark"), ("narrow", 400, 900, "light")]:
        if pictures:
            screen(reader.driver, width, height, scheme)
            reader.open("#map" if name == "narrow" else "")
            reader.driver.save_screenshot(str(pictures / f"report-{name}.png"))
    screen(reader.driver, 1400)


def without_scripts(reader):
    reader.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    reader.open()
    assert reader.all(".map tbody tr") and reader.all("section[data-w] svg") and not reader.all("#view")
    assert "cells.csv" in reader.one("noscript").text
    reader.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def weight(reader, words):
    """Opens the page three times; returns the slowest from the beginning until it is drawn and answers."""
    size = reader.path.stat().st_size
    times = []
    for _ in range(3):
        start = time.monotonic()
        reader.open()
        reader.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0))")
        times.append((time.monotonic() - start) * 1e3)
    loaded = reader.ask("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"{words}: {size / 1e6:.2f} MB, open and interactive after {max(times):.0f} ms (load event {loaded:.0f} ms)")
    assert size <= MOST_BYTES, size
    assert max(times) < MOST_MS, times


def logs(driver):
    errors = [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not errors, errors
    asked = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"].split("#")[0])
    foreign = [url for url in asked if not url.startswith(("file://", "data:", "blob:", "about:"))]
    assert not foreign, foreign


def main():
    harness, run = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    pictures = Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        driver = browser(folder)
        try:
            screen(driver, 1400)
            reader = Reader(driver, page(harness, run, folder))
            weight(reader, f"{run.name}")
            filters(reader)
            sorts(reader)
            keyboard(reader)
            downloads(reader, run, folder)
            looks(reader, pictures)
            without_scripts(reader)
            large = folder / "many"
            many(run, large)
            screen(driver, 1400)
            reader = Reader(driver, page(harness, large, large))
            weight(reader, f"{MANY} rows")
            filters(reader)
            logs(driver)
        finally:
            driver.quit()
    print("report.html: all is well")


main()

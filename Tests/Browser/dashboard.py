"""Opens the dashboard in Chromium as a person does, and prints what is wrong as lines; nothing where all is well.

run: dashboard.py ADDRESS TOKEN ADMIN_TOKEN STORE ITEM JOB GROUP [FOLDER]

It looks at each view at the widths of a phone and of a desktop, light and dark: violations that axe-core finds, messages
on the console, a page that is wider than the screen. It goes through the page by keyboard alone, signs in, and acts with
the token of an administrator. With FOLDER it leaves a screenshot of each.
"""
import os
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

address, token, admin_token, store, item, job, group = sys.argv[1:8]
folder = sys.argv[8] if len(sys.argv) > 8 else None
browser_path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
problems = []
views = {
    "overview": "",
    "jobs": "?view=jobs",
    "results": "?view=results&outcome=rejected",
    "items": f"?view=items&store={store}",
    "item": f"?view=item&store={store}&item={item}",
    "job": f"?view=job&job={job}",
    "order": f"?view=order&store={store}&group={group}",
    "search": f"?view=search&q={item[0]}",
    "checks": "?view=checks",
}


def sign_in(page, secret):
    page.goto(f"http://{address}/dashboard")
    page.get_by_label("Token").fill(secret)
    page.keyboard.press("Enter")
    page.locator("#dot.live").wait_for(timeout=20000)


def watch(page, name):
    page.on("console", lambda message: message.type in ("error", "warning") and problems.append(f"{name}: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"{name}: {error}"))


def check(page, name):
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
    for violation in Axe().run(page).response["violations"]:
        targets = ", ".join(str(node["target"]) for node in violation["nodes"][:3])
        problems.append(f"{name}: {violation['id']}: {violation['help']} ({targets})")
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if width > 0:
        problems.append(f"{name}: the page is {width} pixels wider than the screen")


def look(browser):
    for scheme in ("light", "dark"):
        for width, height in ((390, 844), (1440, 900)):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            size = f"{width}-{scheme}"
            page.goto(f"http://{address}/dashboard")
            page.get_by_label("Token").wait_for()
            check(page, f"sign-in-{size}")
            # The browser reports the 401 of the first question itself.
            watch(page, size)
            page.get_by_label("Token").fill(token)
            page.keyboard.press("Enter")
            page.locator("#dot.live").wait_for(timeout=20000)
            page.locator("#h-throughput").wait_for()
            page.wait_for_function("document.querySelectorAll('svg path').length > 0", timeout=20000)
            for name, query in views.items():
                if name != "overview":
                    page.goto(f"http://{address}/dashboard{query}")
                    page.locator("main h1").first.wait_for()
                check(page, f"{name}-{size}")
            context.close()


def by_keyboard(browser):
    """Signs in, follows a link of the navigation, filters, and opens a job, without a mouse."""
    page = browser.new_context().new_page()
    page.goto(f"http://{address}/dashboard")
    page.get_by_label("Token").wait_for()
    watch(page, "keyboard")
    page.keyboard.type(token)
    page.keyboard.press("Enter")
    page.locator("#dot.live").wait_for(timeout=20000)
    page.locator("body").evaluate("document.activeElement.blur()")
    reach(page, "Skip to the content")
    page.keyboard.press("Enter")
    if page.evaluate("document.activeElement.id") != "main":
        problems.append("keyboard: the link to the content does not lead there")
    reach(page, "Results", backwards=True)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Results", level=1).wait_for()
    reach(page, "Store")
    page.keyboard.type(store)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/dashboard?view=results&store={store}")
    page.get_by_role("heading", name="Results", level=1).wait_for()
    page.locator("main td a").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Job", level=1).wait_for()
    page.go_back()
    page.wait_for_url(f"**/dashboard?view=results&store={store}")


def reach(page, name, backwards=False):
    """Presses Tab until the element with a name has the focus, and checks that the focus can be seen."""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        found = page.evaluate(
            "(() => { const e = document.activeElement; const label = e.closest('label');"
            " return [(label ? label.textContent : e.textContent).trim(), getComputedStyle(e).outlineStyle]; })()")
        if found[0] == name:
            if found[1] == "none":
                problems.append(f"keyboard: the focus on {name} cannot be seen")
            return
    problems.append(f"keyboard: {name} is not reached")


def act(browser):
    """Cancels a queued job as an administrator: first what would happen, then it."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"http://{address}/dashboard")
    page.get_by_label("Token").wait_for()
    watch(page, "acts")
    page.get_by_label("Token").fill(admin_token)
    page.keyboard.press("Enter")
    page.locator("#dot.live").wait_for(timeout=20000)
    page.goto(f"http://{address}/dashboard?view=jobs")
    page.get_by_role("checkbox").first.check()
    check(page, "acts-jobs")
    page.get_by_role("button", name="Cancel selected").click()
    page.get_by_text("would be canceled").wait_for()
    check(page, "acts-dialog")
    page.get_by_label("Reason, for the record").fill("a test of the page")
    page.get_by_role("dialog").get_by_role("button", name="Cancel jobs").click()
    page.get_by_text("1 queued job was canceled").wait_for()
    page.get_by_role("button", name="Close").click()
    page.goto(f"http://{address}/dashboard")
    page.get_by_text("a test of the page").first.wait_for(timeout=20000)
    check(page, "acts-overview")


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    look(browser)
    by_keyboard(browser)
    act(browser)
    browser.close()
for problem in dict.fromkeys(problems):
    print(problem)

import subprocess

import pytest

from deployment import SHIPPED
from prometheus import program

CONFIG = SHIPPED / "alertmanager.yml"


def amtool(*arguments):
    done = subprocess.run([program("amtool"), *arguments], cwd=SHIPPED, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_the_configuration_as_it_ships():
    """`amtool check-config` passes, templates included."""
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=AICostBudgetExceeded severity=critical", "ledger,pager"),
        ("alertname=AICostBudgetExceeded severity=critical team=growth", "ledger,team-growth,pager"),
        ("alertname=AICostBudgetThreshold severity=warning team=growth", "ledger,team-growth,finops"),
        ("alertname=AICostBudgetThreshold severity=info", "ledger,digest"),
        ("alertname=AICostDailySummary severity=info", "ledger,digest"),
        ("alertname=AICostTargetDown severity=critical", "ledger,pager"),
        ("alertname=SomebodyElses severity=warning", "finops"),
    ],
)
def test_an_alert_goes_to(labels, receivers):
    """By severity and team; all of ours are filed in the ledger too."""
    said = amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels.split())
    assert said.strip().replace(" ", "") == receivers

"""What lies in the simulated cloud: the accounts of a small shop.

Names and tags are made up so that the example flows find something to do: volumes of several
environments, instances that nobody owns, volumes that nothing uses, old snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass, field

IMAGE = "ami-03c3da4cfa8e8943a"
"""Amazon Linux 2023; one of `images.json`."""


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A firewall: TCP ports open to address ranges."""

    name: str
    description: str
    open: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """A virtual machine."""

    name: str
    zone: str
    security_group: str
    size: str = "t3.micro"
    running: bool = True
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk, beside the ones that instances start from; unattached without an instance."""

    name: str
    zone: str
    gigabytes: int
    instance: str | None = None
    type: str = "gp3"
    encrypted: bool = True
    tags: dict[str, str] = field(default_factory=dict[str, str])
    snapshot_days: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A VPC and what stands in it."""

    name: str
    cidr: str
    subnets: dict[str, str]
    security_groups: tuple[SecurityGroup, ...] = ()
    instances: tuple[Instance, ...] = ()
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket; its objects by key with their sizes in bytes."""

    name: str
    tags: dict[str, str]
    objects: dict[str, int] = field(default_factory=dict[str, int])


_WEB = SecurityGroup("web", "The shop's web servers", ((80, "0.0.0.0/0"), (443, "0.0.0.0/0")))
_INTERNAL = SecurityGroup("internal", "Inside the network", ((5432, "10.0.0.0/16"),))
_OPEN_SSH = SecurityGroup("debug-ssh", "Left over from a debugging session", ((22, "0.0.0.0/0"),))


def _tags(env: str, owner: str | None = None) -> dict[str, str]:
    return {"env": env} if owner is None else {"env": env, "owner": owner}


NETWORKS: dict[str, Network] = {
    "us-east-1": Network(
        "shop",
        "10.0.0.0/16",
        {"us-east-1a": "10.0.1.0/24", "us-east-1b": "10.0.2.0/24"},
        (_WEB, _INTERNAL, _OPEN_SSH),
        (
            Instance("web-1", "us-east-1a", "web", "t3.medium", tags=_tags("prod", "shop")),
            Instance("web-2", "us-east-1b", "web", "t3.medium", tags=_tags("prod", "shop")),
            Instance("worker-1", "us-east-1a", "internal", tags=_tags("prod", "shop")),
            Instance("staging-1", "us-east-1a", "web", tags=_tags("staging", "shop")),
            Instance("dev-ana", "us-east-1b", "debug-ssh", running=False, tags=_tags("dev", "ana")),
            Instance("load-test", "us-east-1b", "debug-ssh", "t3.large", tags=_tags("dev")),
            Instance("old-jenkins", "us-east-1a", "debug-ssh", "t3.large"),
        ),
        (
            Volume(
                "web-1-data",
                "us-east-1a",
                100,
                "web-1",
                tags=_tags("prod", "shop"),
                snapshot_days=(1, 2, 8),
            ),
            Volume("web-2-data", "us-east-1b", 100, "web-2", tags=_tags("prod", "shop")),
            Volume(
                "orders-archive",
                "us-east-1a",
                500,
                type="st1",
                tags=_tags("prod", "shop"),
                snapshot_days=(40,),
            ),
            Volume("staging-data", "us-east-1a", 20, "staging-1", tags=_tags("staging", "shop")),
            Volume("dev-ana-data", "us-east-1b", 30, "dev-ana", tags=_tags("dev", "ana")),
            Volume("dev-scratch", "us-east-1b", 10, encrypted=False, tags=_tags("dev")),
            Volume(
                "jenkins-home",
                "us-east-1a",
                200,
                type="gp2",
                encrypted=False,
                snapshot_days=(200, 400),
            ),
            Volume("unknown", "us-east-1b", 8, type="gp2", encrypted=False),
        ),
    ),
    "eu-west-1": Network(
        "shop-eu",
        "10.1.0.0/16",
        {"eu-west-1a": "10.1.1.0/24"},
        (_WEB,),
        (Instance("web-eu-1", "eu-west-1a", "web", tags=_tags("prod", "shop")),),
        (
            Volume("web-eu-1-data", "eu-west-1a", 50, "web-eu-1", tags=_tags("prod", "shop")),
            Volume("migration-leftover", "eu-west-1a", 250, type="gp2", encrypted=False),
        ),
    ),
}

SECOND_NETWORKS: dict[str, Network] = {
    "us-east-1": Network(
        "audit",
        "10.9.0.0/16",
        {"us-east-1a": "10.9.1.0/24"},
        (_INTERNAL,),
        (Instance("log-collector", "us-east-1a", "internal", tags=_tags("prod", "audit")),),
        (
            Volume("logs", "us-east-1a", 300, "log-collector", tags=_tags("prod", "audit")),
            Volume("logs-2023", "us-east-1a", 120, type="st1", tags=_tags("prod", "audit")),
        ),
    ),
}

BUCKETS: tuple[Bucket, ...] = (
    Bucket(
        "acme-invoices",
        {"env": "prod", "owner": "shop"},
        {
            f"{year}/{month:02}/invoice-{number}.pdf": 400 + 37 * number + month
            for year in (2024, 2025)
            for month in (1, 2, 3)
            for number in range(1, 5)
        },
    ),
    Bucket(
        "acme-web-assets",
        {"env": "prod", "owner": "web"},
        {
            "index.html": 1_200,
            "css/site.css": 6_500,
            "js/shop.js": 48_000,
            "js/vendor.js": 120_000,
            "img/logo.svg": 2_100,
            **{f"img/product-{n}.jpg": 20_000 + 1_000 * n for n in range(1, 13)},
        },
    ),
    Bucket("acme-reports", {"owner": "platform"}, {"inventory/README.txt": 64}),
)

USERS: dict[str, dict[str, str]] = {
    "ana": {"team": "platform"},
    "ben": {"team": "shop"},
    "ci": {"team": "platform", "kind": "machine"},
}

CUSTOMERS: tuple[dict[str, str], ...] = tuple(
    {"id": f"c-{n:03}", "name": name, "country": country}
    for n, (name, country) in enumerate(
        (("Aster", "DE"), ("Birch", "FR"), ("Cedar", "DE"), ("Daisy", "PL"), ("Elder", "ES")), 1
    )
)

DATABASE_LOGIN: dict[str, str] = {
    "username": "shop",
    "password": "simulated-password-1",
    "host": "shop-db.simulated",
}

PARAMETERS: dict[str, tuple[str, str]] = {
    "/shop/prod/feature-flags": ('{"new_checkout": true}', "String"),
    "/shop/prod/api-key": ("simulated-api-key-1", "SecureString"),
    "/shop/staging/feature-flags": ('{"new_checkout": false}', "String"),
}

FUNCTION = """\
def handler(event, context):
    return {"report": "ok"}
"""

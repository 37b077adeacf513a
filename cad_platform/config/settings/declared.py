"""Every setting that the environment gives: its default and what it is for, once.

`environment` reads them and refuses a name that is not here; `python -m cad_platform.config.settings.document` writes
the table of docs/operations.md from them.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True)
class Declared:
    """One setting.

    Attributes
    ----------
    default
        As the environment would give it; none where there must be one, or where it follows from something else.
    words
        What it is for, in Markdown.
    shown
        How the default is told where the bare value would not say it.
    """

    name: str
    default: str | None
    words: str
    shown: str = ""


_HOSTS = "see [model servers](#model-servers)"

DECLARED = (
    Declared("CAD_STATE_DIR", None, "everything that a running copy writes; see above", "`.local`"),
    Declared("CAD_PORT", "8000", "the web server's port on loopback"),
    Declared(
        "CAD_DATA_DIR",
        None,
        "image collections that demo cases and tests use where they are",
        "`../shared/data`",
    ),
    Declared("CAD_DEMO_CASES", "all", "`all`, `synthetic` or `none`"),
    Declared(
        "DATABASE_URL",
        None,
        "`postgresql://user:password@host:port/name`, PostgreSQL 15 or later, the application's role",
        "embedded",
    ),
    Declared(
        "CAD_DATABASE_OWNER_URL",
        None,
        "the same database as its owner: migrations, backup, restore",
        "`DATABASE_URL`",
    ),
    Declared(
        "CAD_DATABASE_POOL",
        None,
        "whether a process borrows its connections from a pool; the web server's threads are short-lived",
        "`1` for the web server, `0` for workers and commands",
    ),
    Declared("CAD_DATABASE_POOL_SIZE", "16", "connections of one such process, at most"),
    Declared("CAD_BROKER_URL", None, "`redis://` or `rediss://` address of Valkey or Redis", "embedded"),
    Declared("CAD_BROKER_PREFIX", "cad:", "prefix of its keys, where a broker is shared"),
    Declared(
        "CAD_TORCHSERVE_URL",
        "",
        "inference addresses, separated by commas, or a DNS name that leads to several "
        f"(`dns+http://torchserve:8080`); {_HOSTS}",
        "embedded",
    ),
    Declared(
        "CAD_TORCHSERVE_KEY_FILE",
        "",
        "the files their tokens are renewed in, in the order of the addresses; `{host}` stands for a host's name or "
        "number",
        "embedded",
    ),
    Declared("CAD_TORCHSERVE_TOKEN", "", "a plain token, for hosts without such a file"),
    Declared(
        "CAD_TORCHSERVE_MANAGEMENT_URL",
        "",
        "management addresses in that order: workers are counted and tokens renewed there",
        "embedded",
    ),
    Declared(
        "CAD_TORCHSERVE_METRICS_URL",
        "",
        "addresses of their counters in that order (`/metrics` below them): whether one that drains is idle",
        "embedded",
    ),
    Declared(
        "CAD_TORCHSERVE_CA_FILE",
        "",
        "certificates of the hospital's own authority, beside the system's and `SSL_CERT_FILE`",
    ),
    Declared("CAD_TORCHSERVE_CONCURRENCY", "4", "calls at a time from one process to one host"),
    Declared(
        "CAD_DEMO_TORCHSERVE_HOSTS",
        "1",
        "embedded model servers, up to 4; each takes 0.2 GB and 0.25 GB a model more, a mammogram for its moment "
        "0.3 GB",
    ),
    Declared(
        "CAD_TORCHSERVE_WORKERS",
        None,
        "worker processes for each model of the embedded TorchServe",
        "one for each graphics card, at least 1",
    ),
    Declared(
        "CAD_TORCHSERVE_KEYS",
        None,
        "of the inference images: the folder where a host publishes its tokens, `ADDRESS.json`",
        "none",
    ),
    Declared(
        "CAD_HOST_ADDRESS",
        None,
        "of the inference images: the host's address or name, as the platform finds it",
        "`torchserve`",
    ),
    Declared(
        "CAD_MODEL_ARCHIVES",
        None,
        "of the inference images: folder of the archives that are served",
        "those built into the image",
    ),
    Declared(
        "CAD_WORKER_CONCURRENCY", "2", "processes of the Celery worker for images, see [queues](#queues)"
    ),
    Declared("CAD_SLIDE_CONCURRENCY", "2", "those of the worker for whole slides"),
    Declared("CAD_MAINTENANCE_CONCURRENCY", "1", "those of the worker for maintenance"),
    Declared(
        "CAD_TRAINING_CONCURRENCY",
        "1",
        "those of the worker for [trainings](administrators.md#learning): how many learn at a time",
    ),
    Declared("CAD_JOB_LEASE_SECONDS", "15", "a worker holds a job for so long at a time, and renews it"),
    Declared("CAD_JOB_MAX_ATTEMPTS", "8", "attempts that a job itself may spoil"),
    Declared("CAD_JOB_DEADLINE_SECONDS", "3000", "how long one attempt may take"),
    Declared("CAD_JOB_PATIENCE_HOURS", "48", "how long a job waits for a model server that is away"),
    Declared("CAD_JOB_AGED_AFTER_MINUTES", "10", "after so long a wait a job has its turn by age"),
    Declared(
        "CAD_QUEUE_ALERT_SECONDS",
        "stat=60,urgent=300,routine=3600",
        "after so long a wait `/readyz` says `degraded` and names `queue:short` or `queue:slide`",
    ),
    Declared(
        "CAD_METRICS_TOKEN",
        "",
        "whoever scrapes `/metrics` brings it as a bearer token; without it only administrators read them",
    ),
    Declared(
        "CAD_OTLP_ENDPOINT",
        "",
        "address of an OpenTelemetry collector (`http://collector:4318`), which is sent what each request led to, from "
        "the web server and the workers; nothing is traced without it ([traces](#traces))",
    ),
    Declared(
        "CAD_MODEL_STORE", None, "where model versions lie, `NAME/VERSION/`", "`model_store/` of the checkout"
    ),
    Declared(
        "CAD_LABORATORY_PYTHON",
        "",
        "the Python of the laboratory's environment, for workers of the queue `training` "
        "([learning](administrators.md#learning))",
        "the worker's own",
    ),
    Declared(
        "CAD_ACCEPTANCE_MEMORY_BYTES",
        str(6 * GIB),
        "address space of the process that measures an acceptance "
        "([acceptance](administrators.md#local-acceptance)); decoders have their own, smaller limit within it",
        "6 GiB",
    ),
    Declared(
        "CAD_MODEL_TRUST",
        None,
        "folder of public keys (`*.pem`): only versions that one of them has signed are served "
        "([how](administrators.md#versions-of-a-model-known-served-default))",
        "`.local-setup/keys`",
    ),
    Declared(
        "CAD_MODALITIES",
        "",
        "modules that add a modality, separated by commas ([how](contributing/add-a-modality.md))",
    ),
    Declared("CAD_MODEL_SERVER", "torchserve", "`inprocess` computes in the worker, without a model server"),
    Declared(
        "CAD_STORAGE_URL",
        None,
        "`file:///folder` or `s3://bucket/prefix` (keys from the usual AWS variables)",
        "`objects/` of the state folder",
    ),
    Declared(
        "CAD_STORAGE_CACHE_BYTES",
        str(20 * GIB),
        "how much of a bucket may be kept on the local disk",
        "20 GiB",
    ),
    Declared(
        "CAD_DERIVED_CACHE_BYTES",
        str(4 * GIB),
        "decoded frames and thumbnails kept on the local disk",
        "4 GiB",
    ),
    Declared(
        "CAD_BACKUP_KEY_FILE",
        "",
        "the file with the key that backups are encrypted with; without it none is made ([backup](#backup))",
    ),
    Declared(
        "CAD_DRILL_DATABASE_URL",
        "",
        "an empty database of its own, as its owner, that drills of restoring fill and empty ([backup](#backup))",
    ),
    Declared("CAD_MAX_UPLOAD_BYTES", str(8 * GIB), "the largest post", "8 GiB"),
    Declared(
        "CAD_DISK_RESERVE_BYTES",
        str(512 * 1024**2),
        "kept free: a post that would eat into it is answered 507 before it is read",
        "512 MiB",
    ),
    Declared("CAD_BODY_IDLE_SECONDS", "20", "a sender that is silent for so long is answered 408"),
    Declared("CAD_BODY_MIN_BYTES_PER_SECOND", "1024", "and so is one that is slower, after that time"),
    Declared(
        "CAD_STUDY_QUIET_SECONDS",
        "10",
        "a study that is still arriving is complete when nothing of it has come for so long",
    ),
    Declared("CAD_COLLECT_AFTER_SECONDS", "3600", "a stored file that no row names is deleted after so long"),
    Declared(
        "CAD_REPORT_FONTS", None, "folder of the fonts of reports, which set-up makes", "`.local-setup/fonts`"
    ),
    Declared(
        "CAD_SECRET_KEY",
        None,
        "signs sessions, and gives webhooks their secrets (a new key, new secrets); 50 random characters or more",
        "generated",
    ),
    Declared(
        "CAD_ALLOWED_HOSTS",
        "localhost,127.0.0.1,[::1]",
        "names under which browsers reach it, others are answered 400; required in production",
    ),
    Declared(
        "CAD_TRUSTED_PROXIES",
        "",
        "addresses and networks of your reverse proxies: `X-Forwarded-For` and `X-Forwarded-Proto` are believed from "
        "them alone; see [behind a reverse proxy](#behind-a-reverse-proxy)",
        "none; in production `127.0.0.1,::1`",
    ),
    Declared("CAD_API_RATE", "1200/min", "requests of one token or person to the API"),
    Declared("CAD_IMAGE_RATE", "6000/min", "the same of pixels, thumbnails, tiles and files, counted apart"),
    Declared(
        "CAD_PUBLIC_URL",
        None,
        "where others reach the platform, for addresses in webhooks' messages",
        "loopback",
    ),
    Declared(
        "CAD_WEBHOOK_ALLOWED_HOSTS",
        "",
        "the only hosts that webhooks may lead to: `ris.example`, `ris.example:8443` (https), "
        "`http://pacs.example:8080`",
    ),
    Declared("CAD_WEBHOOK_MAX_ATTEMPTS", "10", "tries before an event, or an alert's e-mail, is given up"),
    Declared(
        "CAD_MAIL_SERVER",
        "",
        "for alerts by e-mail: `smtp://host:25`, `smtp+tls://user:password@host:587` (STARTTLS) or "
        "`smtps://host:465`",
    ),
    Declared("CAD_MAIL_FROM", "cad-platform@localhost", "whom they come from"),
    Declared("CAD_MAIL_ALLOWED_DOMAINS", "", "the only domains that they go to, separated by commas"),
    Declared("CAD_LOG_LEVEL", "INFO", "how much goes into the logs, `ERROR` at least"),
    Declared(
        "CAD_IDLE_LOCK_MINUTES",
        "15",
        "until the workplace of an administrator is locked, 0 never; sites say their own (*Sites*)",
    ),
    Declared(
        "CAD_SIGNING_REST_HOURS",
        "24",
        "how long nothing can be signed after an administrator's reset of a used account",
    ),
    Declared("CAD_TIME_ZONE", "UTC", "of sites that name none (*Sites*): for times on pages and in reports"),
)

BY_NAME = {each.name: each for each in DECLARED}

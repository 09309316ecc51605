"""Logins in URLs: no part of a password is shown, wherever it comes from and whatever it holds."""

from urllib.parse import quote

import fsspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kallos.cache import FoldCache
from kallos.datasets import load_features_from_db
from kallos.errors import KallosError, UsageError
from kallos.features.databases import parse_url, reason_of, shown
from kallos.features.snapshots import write_snapshot
from kallos.settings import check_dask_address
from kallos.storage import Folder, address_of, prepare_folder, read_at
from kallos.study.record import check_record
from kallos.words import scrubbed
from tests.samples import make_features, small_plan

# Letters that no message has in this case, so that a fragment of three can be nothing else.
PASSWORDS = st.text("QXZ@:/#?&=% []", min_size=3, max_size=12).filter(lambda text: any(map(str.isalpha, text)))
RAW = "S3cr3t@Pw/x#1"


def fragments(password: str) -> set[str]:
    """Return all that a reader may not see: any three characters in a row that hold a letter."""
    threes = {password[start : start + 3] for start in range(len(password) - 2)}
    return {three for three in threes if any(map(str.isalpha, three))}


def shows_nothing(password: str, line: str) -> bool:
    return not any(fragment in line for fragment in fragments(password))


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return small_plan(tmp_path_factory.mktemp("plan"))


@given(password=PASSWORDS)
@example(RAW)
@example("QXZ/QX Z@QQ?X=Z@ZZ")
@example("Q@XZ/QX?a=Z")
@example("Q@XZ?options=XZ@Q")
def test_no_part_of_a_password_is_in_what_a_database_url_is_refused_with(password):
    for place in ("127.0.0.1:9/db", "host", "[::1]:9/db?connect_timeout=1"):
        url = f"postgresql://trader:{password}@{place}"
        try:
            parsed = parse_url(url)
        except UsageError as error:
            line = str(error)
        else:
            assert parsed.database in ("db", None)
            line = f"{shown(parsed)} {reason_of(ValueError(f'no login with {parsed.password}'), parsed)}"
        assert shows_nothing(password, line), line
        assert shows_nothing(password, scrubbed(f"what a driver says of {url}: no such host"))
        assert shows_nothing(password, scrubbed(f"{url} and https://host:8000/x"))


@given(password=PASSWORDS)
def test_a_password_that_is_written_as_the_message_says_is_read_whole(password):
    parsed = parse_url(f"postgresql://trader:{quote(password, safe='')}@127.0.0.1:9/db")
    assert (parsed.username, parsed.password, parsed.host, parsed.port) == ("trader", password, "127.0.0.1", 9)


@given(password=PASSWORDS)
@example(RAW)
def test_no_part_of_a_password_is_in_what_a_store_is_refused_with(password):
    # A store that is not installed here, one that is, and one that nobody knows.
    for scheme in ("sftp", "ftp", "nowhere"):
        url = f"{scheme}://trader:{password}@127.0.0.1:9/folder"
        if scheme == "ftp" and not any(each in password for each in "@/#?[]"):
            continue  # It would be asked.
        for act in (
            lambda url=url: FoldCache(url),
            lambda url=url: prepare_folder(url),
            lambda url=url: Folder(url).read("a.json"),
            lambda url=url: read_at(f"{url}/a.json"),
            lambda url=url: write_snapshot(make_features(5), url),
        ):
            with pytest.raises(KallosError) as refused:
                act()
            assert shows_nothing(password, str(refused.value)), str(refused.value)
        assert shows_nothing(password, address_of(url, "a.json"))


@given(password=PASSWORDS)
@example(RAW)
def test_no_part_of_a_password_is_in_what_a_dask_address_is_refused_with(password):
    with pytest.raises(ValueError, match="must be a Dask scheduler's address") as refused:
        check_dask_address(f"tcp://trader:{password}@127.0.0.1:8786")
    assert shows_nothing(password, str(refused.value))


def test_a_raw_at_sign_in_a_password_is_refused_with_how_to_write_it(plan):
    url = f"postgresql://trader:{RAW}@127.0.0.1:5999/db"
    for act in (lambda: load_features_from_db(url, "A"), lambda: check_record(url, plan)):
        with pytest.raises(UsageError, match=r"write @ as %40, / as %2F, : as %3A, [?] as %3F, # as %23") as refused:
            act()
        assert shows_nothing(RAW, str(refused.value))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://trader@corp:pw@host/db", "host"),  # As Azure names users.
        ("postgresql://trader:p/w#1?x@host/db", "host"),
        ("postgresql://trader:pw@host/db?password=p%40x", "host"),
        ("postgresql://host:5432/db", "host"),
        ("postgresql://ada@host/db?password=p@x", "host"),
        ("postgresql:///db?host=/tmp&password=p@x", None),
        ("postgresql://u:p@h/db?application_name=me@home", "h"),
        ("postgresql://u:p@h/db?application_name=me@home&sslrootcert=/etc/ca.pem", "h"),
        ("postgresql://u:p@h/db?options=-csearch_path=a@b", "h"),
        ("postgresql://u:p@[::1]:5432/db?options=-csearch_path=a@b", "::1"),
        ("postgresql://u:p@/db?host=/cloudsql/p:r@x", None),
        ("sqlite:////home/me@work/a:b@c.db", None),
    ],
)
def test_a_url_that_can_be_read_in_one_way_is_taken(url, host):
    assert parse_url(url).host == host


@pytest.mark.parametrize("folder", ["memory://bucket/me@work/a:b@c", "memory://host:9000/user/me@work"])
def test_an_at_sign_in_a_folder_is_no_password(folder):
    prepare_folder(folder)
    fsspec.filesystem("memory").store.clear()


def test_other_urls_of_a_line_stay():
    line = "copy s3://key:se@cr/et@bucket/a to sftp://me:pa ss@host/b: refused"
    assert scrubbed(line) == "copy s3://***@bucket/a to sftp://***@host/b: refused"

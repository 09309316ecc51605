"""What `kallos-run doctor` says of a cluster without one."""

from flows.diagnosis import check_cluster
from kallos.settings import Settings


def test_a_cluster_is_looked_at_only_where_the_settings_name_one(home):
    assert list(check_cluster(Settings())) == []
    (finding,) = check_cluster(Settings(dask_address="tcp://127.0.0.1:9"))
    assert (finding.state, finding.subject) == ("bad", "cluster")
    assert finding.said.startswith("a Dask scheduler must answer at tcp://127.0.0.1:9, and none did")

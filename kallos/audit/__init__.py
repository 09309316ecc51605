"""Searches for leaks by experiment: changes what was not known yet, and checks whether anything that was known moves.

Each stage is a pure function that returns `AuditVerdict`s; `audit_study` runs them all on one study.
"""

from kallos.audit.association import audit_associations
from kallos.audit.forecasts import audit_forecasts
from kallos.audit.labels import audit_label
from kallos.audit.preparation import audit_fill, audit_preparation
from kallos.audit.query import audit_query
from kallos.audit.revisions import audit_revisions
from kallos.audit.study import audit_study, before_holdout
from kallos.audit.verdicts import STAGES, AuditReport, AuditVerdict

__all__ = [
    "STAGES",
    "AuditReport",
    "AuditVerdict",
    "audit_associations",
    "audit_fill",
    "audit_forecasts",
    "audit_label",
    "audit_preparation",
    "audit_query",
    "audit_revisions",
    "audit_study",
    "before_holdout",
]

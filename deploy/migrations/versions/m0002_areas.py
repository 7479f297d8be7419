"""Areas: settings as data, each version kept with its reason."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE areas (
    id uuid CONSTRAINT pk_areas PRIMARY KEY,
    slug text NOT NULL CONSTRAINT uq_areas_slug UNIQUE,
    name text NOT NULL,
    settings jsonb NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE area_changes (
    area_id uuid NOT NULL CONSTRAINT fk_area_changes_area_id REFERENCES areas,
    version bigint NOT NULL,
    settings jsonb NOT NULL,
    reason text NOT NULL,
    changed_by uuid,
    at timestamptz NOT NULL,
    CONSTRAINT pk_area_changes PRIMARY KEY (area_id, version)
);
CALL app_make_append_only('area_changes');
GRANT SELECT, INSERT, UPDATE (settings, version) ON areas TO kith_app;
GRANT SELECT, INSERT ON area_changes TO kith_app;
GRANT SELECT ON areas TO kith_match;
"""


def upgrade() -> None:
    """Make areas."""
    op.execute(UP)


def downgrade() -> None:
    """Take areas away."""
    op.execute("DROP TABLE area_changes, areas")

package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/projection"
)

// schema is what a service keeps in the database.
type schema struct {
	name    string
	migrate func(context.Context) (did string, err error)
}

func (p *Platform) addSchema(name string, migrate func(context.Context) (string, error)) {
	p.schemas = append(p.schemas, schema{name, migrate})
}

// Migrate makes the topics that are missing and brings the logs and read stores of the
// services that were added up to date, so that processes find all there when they start. It
// starts none of the services. What is there already stays as it is, and several processes may
// migrate at once. Each part is tried again until it succeeds or ctx ends. tell is told of each
// part what was done.
func (p *Platform) Migrate(ctx context.Context, topics []kafka.TopicSpec, tell func(part, did string)) error {
	s := p.Settings
	if p.isLocal {
		return daemon.Usagef("migrate is for a fleet: name its brokers with --kafka-brokers; the embedded broker is seen to by serve")
	}
	if s.Postgres == "" && len(p.schemas) > 0 {
		return daemon.Usagef("migrate is for a fleet: name its database with --postgres; files of SQLite are seen to by serve")
	}
	config, err := s.KafkaConfig()
	if err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }() // nothing is under way by then
	p.Kafka, p.Admin = config, admin
	parts := append([]schema{{"topics", func(ctx context.Context) (string, error) { return migrateTopics(ctx, admin, topics) }}}, p.schemas...)
	for _, part := range parts {
		var did string
		err := daemon.Retry(ctx, p.Health.Watch(part.name), daemon.DefaultBackoff, func(ctx context.Context) (err error) {
			did, err = part.migrate(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		tell(part.name, did)
	}
	return nil
}

func migrateTopics(ctx context.Context, admin *kafka.Admin, topics []kafka.TopicSpec) (string, error) {
	missing, err := admin.MissingTopics(ctx, topics)
	if err != nil {
		return "", err
	}
	if err := admin.EnsureTopics(ctx, topics); err != nil {
		return "", err
	}
	if len(missing) == 0 {
		return fmt.Sprintf("all %d are there", len(topics)), nil
	}
	slices.Sort(missing)
	return fmt.Sprintf("created %d of %d: %v", len(missing), len(topics), missing), nil
}

// migrateLog brings a log up to date, which opening it does.
func (p *Platform) migrateLog(ctx context.Context, service string) (did string, err error) {
	log, err := p.openLog(ctx, service)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	m, ok := log.(interface{ Migrated() (from, to int64) })
	if !ok {
		return "", errors.New("a log that does not tell its version")
	}
	from, to := m.Migrated()
	if from == to {
		return fmt.Sprintf("up to date at version %d", to), nil
	}
	return fmt.Sprintf("migrated from version %d to %d", from, to), nil
}

// migrateStore brings a read store up to date, which opening the builds of its view does. None
// of them is folded here.
func (p *Platform) migrateStore(ctx context.Context, service string, view projection.Twin) (did string, err error) {
	store, err := p.openStore(ctx, service)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	counted := &countedStore{Store: store}
	_, err = projection.OpenBuilds(ctx, projection.BuildsOptions{
		Options: projection.Options{Store: counted, Clock: p.Clock, Log: p.Logger(service), Replay: p.Admin.ReadRange},
		View:    view, Offsets: p.Admin.Offsets,
		Consume: func(context.Context, string, []string, *projection.Projection) error {
			return errors.New("views are not folded while their stores are migrated")
		},
	})
	if err != nil {
		return "", err
	}
	if counted.ran == 0 {
		return fmt.Sprintf("up to date at version %d", view.Version()), nil
	}
	return fmt.Sprintf("ran %d statements, for version %d", counted.ran, view.Version()), nil
}

// countedStore counts the statements that Migrate runs.
type countedStore struct {
	projection.Store
	ran int
}

// Migrate implements projection.Store.
func (c *countedStore) Migrate(ctx context.Context, name string, statements []string) error {
	before := int64(0)
	// Migrating to nothing makes the table that says what has been run.
	if err := c.Store.Migrate(ctx, name, nil); err != nil {
		return err
	}
	err := c.Query(ctx, `SELECT applied FROM projection_schemas WHERE name = $1`, []any{name}, func(r projection.Row) error {
		before = r.Int(0)
		return nil
	})
	if err != nil {
		return err
	}
	c.ran += max(0, len(statements)-int(before))
	return c.Store.Migrate(ctx, name, statements)
}

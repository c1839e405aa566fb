package orderview

import (
	"context"

	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
)

// StreamVersion implements projection.View. An order or a payment is shown as of a version when what is
// personal of that version is there too.
func (v *view) StreamVersion(ctx context.Context, q projection.Queryer, stream string) (version int64, held bool, err error) {
	table := map[string]string{orderCategory: ordersTable, payments.Category: paymentsTable}[bus.ResourceOf(stream).Type]
	if table != "" {
		err = q.Query(ctx, "SELECT o.version, o.personal_due, p.version FROM "+table+" o LEFT JOIN "+personalTable+
			" p ON p.stream = o.key WHERE o.key = $1", []any{stream}, func(row projection.Row) error {
			version = shownVersion(row.Int(0), row.Int(1), row.Int(2))
			return nil
		})
		return version, true, err
	}
	return v.streams.StreamVersion(ctx, q, stream)
}

// shownVersion is the version that an order or a payment is shown as of.
func shownVersion(version, personalDue, personal int64) int64 {
	if personal < personalDue {
		return personalDue - 1
	}
	return version
}

// lagging is what an entity tag says beside the version that a stream is shown as of, while what is
// personal of it lags behind what else is shown: for nothing that is shown may change under one tag.
func lagging(stream string, version, shown int64) (more httpapi.Tokens) {
	if shown < version {
		more = append(more, httpapi.Token{Stream: "lagging-" + stream, Version: version})
	}
	return more
}

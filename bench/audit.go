package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/api/fulfilment"
	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/api/payments"
	"github.com/orderlane/orderlane/api/shipping"
	"github.com/orderlane/orderlane/bench/count"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/services/orderlane/audit"
)

// auditViews is how many orders are compared with the views.
const auditViews = 200

// audit holds that a run of complete orders has left nothing half done: each order was placed,
// paid, delivered and ended once, and every promise of the platform holds.
func (s *system) audit(ctx context.Context, orders int64) error {
	s.bench.say("  auditing: %s orders", thousands(float64(orders)))
	for _, c := range []struct{ service, kind string }{
		{ordering.Service, ordering.TypeOrderPlaced},
		{ordering.Service, ordering.TypeOrderDelivered},
		{shipping.Service, shipping.TypeShipmentDelivered},
		{payments.Service, payments.TypePaymentCaptured},
		{fulfilment.Service, ""},
	} {
		m, err := count.Topic(ctx, s.brokers, bus.EventsTopic(c.service), func(r *kafka.Record) (int64, error) {
			if r.Header(bus.HeaderType) == c.kind || c.kind == "" && strings.Contains(string(r.Value), string(ending)) {
				return 1, nil
			}
			return 0, nil
		})
		if err != nil {
			return err
		}
		if m.Keys != orders || m.Records != orders {
			return fmt.Errorf("%d orders were placed, but there are %d events %s%s for %d of them", orders, m.Records, c.service, c.kind, m.Keys)
		}
	}
	if err := pause(ctx, settle); err != nil { // what belongs together arrives
		return err
	}
	admin, err := kafka.NewAdmin(kafka.Config{Brokers: s.brokers})
	if err != nil {
		return err
	}
	defer admin.Close()
	report, err := audit.Run(ctx, audit.Options{Source: admin, Get: s.look, Views: auditViews, Now: time.Now(), Tell: s.bench.say})
	if err != nil {
		return err
	}
	if report.Broken > 0 {
		return fmt.Errorf("%d promises do not hold; the first: %+v", report.Broken, report.Findings[0])
	}
	if report.Orders != orders || report.Judged != orders {
		return fmt.Errorf("of %d orders the audit knows %d and has judged %d", orders, report.Orders, report.Judged)
	}
	return nil
}

// look reads a resource of the API.
func (s *system) look(ctx context.Context, path string, answer any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.api+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, err
	}
	return resp.StatusCode, json.Unmarshal(data, answer)
}

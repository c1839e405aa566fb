package main

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/inventory"
	"github.com/orderlane/orderlane/pkg/bus"
	"github.com/orderlane/orderlane/pkg/kafka"
)

// outcomes are the events of a fair sale: who comes first gets what he wants while it lasts.
func outcomes(t *testing.T) []kafka.Record {
	t.Helper()
	var all []kafka.Record
	levels := inventory.Levels{Locations: []inventory.Level{{Location: "main", OnHand: flashStock}}, Available: flashStock}
	add := func(kind string, event any) {
		data, err := bus.Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kafka.Record{
			Key: []byte("stock-F"), Value: data, Headers: []kafka.Header{{Key: bus.HeaderType, Value: []byte(kind)}},
		})
	}
	add(inventory.TypeStockReceived, &inventory.StockReceived{SKU: "F", Location: "main", Quantity: flashStock, Levels: levels})
	for i := range flashCallers {
		wanted := int64(1 + i%3)
		line := inventory.Line{OrderID: uuid.NewString(), Line: 1}
		if wanted > levels.Available {
			add(inventory.TypeStockReservationRefused, &inventory.StockReservationRefused{SKU: "F", Line: line, Quantity: wanted, Available: levels.Available, Reason: inventory.ReasonOutOfStock})
			continue
		}
		levels.Available -= wanted
		levels.Locations[0].Reserved += wanted
		add(inventory.TypeStockReserved, &inventory.StockReserved{SKU: "F", Line: line, Quantity: wanted, Levels: levels})
	}
	return all
}

func TestASaleIsGoodIfAllOfTheStockIsSoldAndNoMore(t *testing.T) {
	fair := outcomes(t)
	if err := checkSale("F", fair); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]kafka.Record){
		"oversold": func(all []kafka.Record) {
			all[9].Value = []byte(strings.Replace(string(all[9].Value), `"on_hand":6000`, `"on_hand":1`, 1))
		},
		"decided twice":  func(all []kafka.Record) { all[2] = all[1] },
		"left over":      func(all []kafka.Record) { all[1] = all[len(all)-1] },
		"of another sku": func(all []kafka.Record) { all[5].Key = []byte("stock-G") },
	} {
		spoiled := append([]kafka.Record(nil), fair...)
		spoil(spoiled)
		if err := checkSale("F", spoiled); err == nil {
			t.Errorf("a sale that is %s is good", name)
		}
	}
}

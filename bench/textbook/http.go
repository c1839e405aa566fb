package textbook

import (
	"context"
	"io"
	"net/http"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/orderlane/orderlane/api/ordering"
	"github.com/orderlane/orderlane/services/commandapi"
)

// maxBody bounds a request, as Orderlane does.
const maxBody = 256 << 10

// newHandler is the API: it decodes an order, sends the command, and answers as Orderlane does.
func newHandler(commands *cqrs.CommandBus) http.Handler {
	router := chi.NewRouter()
	router.Post("/v1/orders", func(w http.ResponseWriter, r *http.Request) {
		order, ok := Decode(w, r)
		if !ok {
			return
		}
		c := &PlaceOrder{CommandID: uuid.NewString(), PlaceOrder: Command(order)}
		if err := send(r.Context(), commands, c); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		Answer(w, c.CommandID, c.OrderID)
	})
	return router
}

func send(ctx context.Context, commands *cqrs.CommandBus, c *PlaceOrder) error {
	return commands.SendWithModifiedMessage(ctx, c, func(m *message.Message) error {
		m.Metadata.Set(partitionKey, c.OrderID)
		return nil
	})
}

// Decode reads the body of an order, or answers that it can't.
func Decode(w http.ResponseWriter, r *http.Request) (order commandapi.NewOrder, ok bool) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(data, &order)
	}
	if err != nil || order.CustomerID == "" || len(order.Lines) == 0 {
		http.Error(w, "bad order", http.StatusUnprocessableEntity)
		return order, false
	}
	return order, true
}

// Command is the command for a new order, with an id for it.
func Command(o commandapi.NewOrder) ordering.PlaceOrder {
	c := ordering.PlaceOrder{
		OrderID: uuid.NewString(), CustomerID: o.CustomerID, Email: o.Email, Currency: o.Currency, Lines: o.Lines,
		ShipTo: o.ShipTo, Delivery: o.Delivery, ExpectedTotal: o.ExpectedTotal,
	}
	if o.Payment != nil {
		c.Payment = *o.Payment
	}
	return c
}

type answer struct {
	CommandID string            `json:"command_id"`
	Status    string            `json:"status"`
	Resource  resource          `json:"resource"`
	Links     map[string]string `json:"links"`
}

type resource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Answer says that a command was accepted.
func Answer(w http.ResponseWriter, command, order string) {
	data, err := json.Marshal(answer{
		CommandID: command, Status: "accepted", Resource: resource{"order", order},
		Links: map[string]string{"command": "/v1/commands/" + command, "resource": "/v1/orders/" + order},
	})
	if err != nil { // strings only
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", "/v1/commands/"+command)
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(data) // the client is gone
}

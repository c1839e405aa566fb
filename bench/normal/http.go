package normal

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"

	"github.com/orderlane/orderlane/pkg/httpapi"
	"github.com/orderlane/orderlane/pkg/projection"
	"github.com/orderlane/orderlane/services/insights"
	"github.com/orderlane/orderlane/services/orderview"
)

// NewHandler is the API: the paths and parameters of Orderlane that are measured.
func NewHandler(store projection.Store) http.Handler {
	router := chi.NewRouter()
	router.Get("/v1/orders", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		sql, by := byCustomer, query.Get("customer_id")
		if status := query.Get("status"); status != "" {
			sql, by = byStatus, status
		} else if sku := query.Get("sku"); sku != "" {
			sql, by = bySKU, sku
		}
		limit, err := strconv.Atoi(query.Get("limit"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		orders, err := list(r.Context(), store, sql, by, limit)
		answer(w, &httpapi.List[orderview.Order]{Items: orders}, err)
	})
	router.Get("/v1/insights/sales", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		from, fromErr := time.Parse(time.DateOnly, query.Get("from"))
		to, toErr := time.Parse(time.DateOnly, query.Get("to"))
		limit, err := strconv.Atoi(query.Get("limit"))
		if fromErr != nil || toErr != nil || err != nil {
			http.Error(w, "bad period", http.StatusBadRequest)
			return
		}
		p, by := period{from.UnixMicro(), to.UnixMicro() + day}, query.Get("by")
		read := byDay
		if by == "product" {
			read = byProduct
		}
		sales, err := read(r.Context(), store, p, limit)
		answer(w, &insights.SalesList{By: by, List: httpapi.List[insights.Sales]{Items: sales}}, err)
	})
	return router
}

func answer(w http.ResponseWriter, body any, err error) {
	var data []byte
	if err == nil {
		data, err = json.Marshal(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // the client is gone
}

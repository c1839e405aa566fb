package load

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// answerWithin bounds the wait for an answer.
const answerWithin = 30 * time.Second

// products are what the orders are for; all names have the same length, so that requests do.
var products = [...]string{"TEA-001", "TEA-002", "POT-001", "CUP-001", "BOOK-01"}

// body is the order of the API's documentation, by one of 10,000 customers.
const body = `{"customer_id": "c-00000", "email": "ada@example.com", "currency": "EUR", "lines": [{"sku": "TEA-001", "quantity": 2}], ` +
	`"ship_to": {"name": "Ada Lovelace", "street": "12 St James Square", "postal_code": "SW1Y 4JH", "city": "London", "country": "GB"}, ` +
	`"delivery": "standard", "payment": {"method": "sandbox_approve"}}`

// conn is one keep-alive connection. Requests are bytes that are made once and changed in
// place; of answers only what is needed is looked at. It is for one goroutine.
type conn struct {
	net.Conn
	in       *bufio.Reader
	request  []byte
	customer []byte // of request: five digits
	product  []byte // of request
	n        int
}

// dial connects to a server. Connections begin at different customers and products.
func dial(addr string, begin int) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, answerWithin)
	if err != nil {
		return nil, err
	}
	request := fmt.Appendf(nil, "POST /v1/orders HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		addr, len(body), body)
	at := func(s string, n int) []byte {
		i := bytes.Index(request, []byte(s))
		return request[i : i+n : i+n]
	}
	return &conn{
		Conn: c, in: bufio.NewReaderSize(c, 4096), request: request,
		customer: at("00000", 5), product: at(products[0], len(products[0])), n: begin,
	}, nil
}

// place sends one order and reads the answer: the order's id, if the status is 202.
func (c *conn) place() (id ID, status int, err error) {
	c.n++
	for i, n := len(c.customer)-1, c.n%10_000; i >= 0; i, n = i-1, n/10 {
		c.customer[i] = byte('0' + n%10)
	}
	copy(c.product, products[c.n%len(products)])
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return id, 0, err
	}
	if _, err := c.Write(c.request); err != nil {
		return id, 0, err
	}
	return c.answer()
}

var (
	contentLength = []byte("Content-Length: ")
	// The resource's id comes before or after its type; the command's has another name.
	idMember = []byte(`"id":"`)
)

// answer reads one answer.
func (c *conn) answer() (id ID, status int, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return id, 0, fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case first:
			if len(line) < 12 {
				return id, 0, fmt.Errorf("%q is no answer", line)
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return id, 0, fmt.Errorf("%q is no answer: %w", line, err)
			}
			continue
		case bytes.HasPrefix(line, contentLength):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return id, 0, fmt.Errorf("length of the answer: %w", err)
			}
			continue
		case len(line) > 2:
			continue
		}
		break
	}
	if length < 0 || length > c.in.Size() {
		return id, 0, fmt.Errorf("an answer of %d bytes", length)
	}
	data, err := c.in.Peek(length)
	if err != nil && !errors.Is(err, io.EOF) {
		return id, 0, fmt.Errorf("read the answer: %w", err)
	}
	if status == 202 {
		i := bytes.Index(data, idMember)
		if i < 0 || id.parse(data[i+len(idMember):]) != nil {
			return id, 0, fmt.Errorf("an answer without the order's id: %s", data)
		}
	}
	_, err = c.in.Discard(length)
	return id, status, err
}

// ID is an order's id, a UUID.
type ID [16]byte

// parse reads the 36 characters that a text begins with.
func (id *ID) parse(text []byte) error {
	if len(text) < 36 {
		return fmt.Errorf("%q is no id", text)
	}
	var digits [32]byte
	n := 0
	for _, part := range [...][2]int{{0, 8}, {9, 13}, {14, 18}, {19, 23}, {24, 36}} {
		n += copy(digits[n:], text[part[0]:part[1]])
	}
	_, err := hex.Decode(id[:], digits[:])
	return err
}

// ParseID reads an id from the end of a text, such as a stream's name.
func ParseID(text string) (id ID, err error) {
	if len(text) < 36 {
		return id, fmt.Errorf("%q has no id", text)
	}
	err = id.parse([]byte(text[len(text)-36:]))
	return id, err
}

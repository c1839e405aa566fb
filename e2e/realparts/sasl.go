//go:build unix

package realparts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The user whom SASL lets do everything: the broker's own, and who sets up ACLs.
const (
	SASLAdmin    = "admin"
	SASLPassword = "admin-secret"
)

// SASL returns settings for StartKafka with which clients must log in, by
// SASL/PLAIN on an unencrypted listener, and may do only what ACLs allow them:
// nothing, until the admin has added some. users maps names to passwords; the
// admin is always there. SCRAM-SHA-256 and SCRAM-SHA-512 are switched on too;
// the admin adds their credentials through the admin API.
func SASL(users map[string]string) []string {
	const plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
	const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	var known strings.Builder
	fmt.Fprintf(&known, " user_%s=%q", SASLAdmin, SASLPassword)
	for _, name := range slices.Sorted(maps.Keys(users)) {
		fmt.Fprintf(&known, " user_%s=%q", name, users[name])
	}
	return []string{
		"listeners=SASL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
		"advertised.listeners=SASL://127.0.0.1:{port}",
		"inter.broker.listener.name=SASL",
		"listener.security.protocol.map=SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"sasl.mechanism.inter.broker.protocol=PLAIN",
		fmt.Sprintf("listener.name.sasl.plain.sasl.jaas.config=%s username=%q password=%q%s;",
			plain, SASLAdmin, SASLPassword, known.String()),
		"listener.name.sasl.scram-sha-256.sasl.jaas.config=" + scram,
		"listener.name.sasl.scram-sha-512.sasl.jaas.config=" + scram,
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"allow.everyone.if.no.acl.found=false",
		// The controller listener has no log-in: the broker is anonymous there.
		"super.users=User:" + SASLAdmin + ";User:ANONYMOUS",
	}
}

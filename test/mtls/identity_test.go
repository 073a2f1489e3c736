package mtls_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	commonpb "github.com/dapr/dapr/pkg/proto/common/v1"
	internalpb "github.com/dapr/dapr/pkg/proto/internals/v1"
	sentrypb "github.com/dapr/dapr/pkg/proto/sentry/v1"
)

// callTimeout limits each call to a port.
const callTimeout = 10 * time.Second

// identity is a certificate with its key.
type identity struct {
	app  string
	cert tls.Certificate
}

// creds returns credentials that present the identity. They accept any server: the tests
// are about what the server accepts.
func (i identity) creds() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{i.cert}, InsecureSkipVerify: true})
}

// target is an operation of an app, called at the internal port of its sidecar.
type target struct {
	port      int
	operation string
	creds     credentials.TransportCredentials
	claim     string // the caller that the headers name
}

func (x target) address() string { return fmt.Sprintf("127.0.0.1:%d", x.port) }

func (x target) request() *internalpb.InternalInvokeRequest {
	header := func(value string) *internalpb.ListStringValue {
		return &internalpb.ListStringValue{Values: []string{value}}
	}
	return &internalpb.InternalInvokeRequest{
		Ver: internalpb.APIVersion_V1,
		Metadata: map[string]*internalpb.ListStringValue{
			"content-type": header("application/json"), "dapr-caller-app-id": header(x.claim), "dapr-callee-app-id": header(x.claim),
		},
		Message: &commonpb.InvokeRequest{
			Method: x.operation, ContentType: "application/json", Data: &anypb.Any{Value: []byte("{}")},
			HttpExtension: &commonpb.HTTPExtension{Verb: commonpb.HTTPExtension_POST},
		},
	}
}

// callLocal calls the target as sidecars do for small requests.
func callLocal(ctx context.Context, x target) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := grpc.NewClient(x.address(), grpc.WithTransportCredentials(x.creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = internalpb.NewServiceInvocationClient(conn).CallLocal(ctx, x.request())
	return err
}

// callLocalStream calls the target as sidecars do for streamed requests.
func callLocalStream(ctx context.Context, x target) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := grpc.NewClient(x.address(), grpc.WithTransportCredentials(x.creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := internalpb.NewServiceInvocationClient(conn).CallLocalStream(ctx)
	if err != nil {
		return err
	}
	request := x.request()
	request.Message.Data = nil
	err = stream.Send(&internalpb.InternalInvokeRequestStream{Request: request, Payload: &commonpb.StreamPayload{Data: []byte("{}")}})
	if err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// callMethod calls the operation, a full method of gRPC, with an empty message. The claim is
// the app for which a sidecar would forward the call.
func callMethod(ctx context.Context, x target) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := grpc.NewClient(x.address(), grpc.WithTransportCredentials(x.creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	if x.claim != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "dapr-app-id", x.claim)
	}
	return conn.Invoke(ctx, x.operation, &emptypb.Empty{}, &emptypb.Empty{})
}

// token returns the token with which the sidecar of an app asks for its certificate.
func token(t *testing.T, app string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(running.Data, "run", "sentry", app+".token"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// askSentry asks for a certificate, and returns it with its key.
func askSentry(t *testing.T, req *sentrypb.SignCertificateRequest) (tls.Certificate, error) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	req.CertificateSigningRequest = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	conn, err := grpc.NewClient(running.Sentry, grpc.WithTransportCredentials(identity{}.creds()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	res, err := sentrypb.NewCAClient(conn).SignCertificate(ctx, req)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert := tls.Certificate{PrivateKey: key}
	for block, rest := pem.Decode(res.GetWorkloadCertificate()); block != nil; block, rest = pem.Decode(rest) {
		cert.Certificate = append(cert.Certificate, block.Bytes)
	}
	return cert, nil
}

// signedBy returns a certificate of an app from Sentry, as its sidecar gets it.
func signedBy(t *testing.T, app string) identity {
	t.Helper()
	cert, err := askSentry(t, &sentrypb.SignCertificateRequest{
		Id: app, Namespace: "default", Token: token(t, app), TokenValidator: sentrypb.SignCertificateRequest_JWKS,
	})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := "spiffe://public/ns/default/" + app; len(leaf.URIs) != 1 || leaf.URIs[0].String() != want {
		t.Fatalf("got a certificate for %v, want %s", leaf.URIs, want)
	}
	if left := time.Until(leaf.NotAfter); left > certTTL {
		t.Errorf("the certificate is valid for %s, want at most %s", left, certTTL)
	}
	return identity{app: app, cert: cert}
}

// TestATokenBuysOnlyItsOwnIdentity asks Sentry for the gateway's certificate without the
// gateway's token.
func TestATokenBuysOnlyItsOwnIdentity(t *testing.T) {
	const jwks = sentrypb.SignCertificateRequest_JWKS
	booking := token(t, "booking")
	parts := strings.Split(booking, ".")
	encode := base64.RawURLEncoding.EncodeToString
	gatewayClaims := encode([]byte(`{"aud":["spiffe://boxoffice/ns/default/dapr-sentry"],"sub":"spiffe://public/ns/default/gateway","exp":4102444800}`))
	_, otherKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := parts[0] + "." + gatewayClaims
	for name, req := range map[string]*sentrypb.SignCertificateRequest{
		"no token":                               {Id: "gateway", Namespace: "default", TokenValidator: jwks},
		"no token and no validator":              {Id: "gateway", Namespace: "default"},
		"the insecure validator":                 {Id: "gateway", Namespace: "default", Token: booking, TokenValidator: sentrypb.SignCertificateRequest_INSECURE},
		"the Kubernetes validator":               {Id: "gateway", Namespace: "default", Token: booking, TokenValidator: sentrypb.SignCertificateRequest_KUBERNETES},
		"no validator":                           {Id: "booking", Namespace: "default", Token: booking},
		"the token of booking":                   {Id: "gateway", Namespace: "default", Token: booking, TokenValidator: jwks},
		"another namespace":                      {Id: "booking", Namespace: "other", Token: booking, TokenValidator: jwks},
		"another trust domain":                   {Id: "booking", Namespace: "default", TrustDomain: "boxoffice", Token: booking, TokenValidator: jwks},
		"Sentry's own name":                      {Id: "dapr-sentry", Namespace: "default", TrustDomain: "boxoffice", Token: booking, TokenValidator: jwks},
		"a path in the name":                     {Id: "booking/../gateway", Namespace: "default", Token: booking, TokenValidator: jwks},
		"claims of gateway, booking's signature": {Id: "gateway", Namespace: "default", Token: forged + "." + parts[2], TokenValidator: jwks},
		"claims of gateway, another key": {
			Id: "gateway", Namespace: "default", TokenValidator: jwks, Token: forged + "." + encode(ed25519.Sign(otherKey, []byte(forged))),
		},
		"claims of gateway, no algorithm": {
			Id: "gateway", Namespace: "default", TokenValidator: jwks, Token: encode([]byte(`{"alg":"none","kid":"devstack"}`)) + "." + gatewayClaims + ".",
		},
	} {
		if _, err := askSentry(t, req); err == nil {
			t.Errorf("%s: Sentry signed a certificate", name)
		} else if code := status.Code(err); code != codes.PermissionDenied && code != codes.InvalidArgument {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

// TestOnlyCertificatesOfTheAuthorityOpenAPort calls every internal port in plain text,
// without a certificate, and with certificates that Sentry did not sign.
func TestOnlyCertificatesOfTheAuthorityOpenAPort(t *testing.T) {
	gateway := signedBy(t, "gateway")
	for name, creds := range map[string]credentials.TransportCredentials{
		"plain text":                                insecure.NewCredentials(),
		"no certificate":                            identity{}.creds(),
		"a certificate of another authority":        identity{app: "gateway", cert: forgedChain(t)}.creds(),
		"a self-signed certificate":                 identity{app: "gateway", cert: selfSigned(t)}.creds(),
		"a certificate that signed another":         identity{app: "gateway", cert: signedByLeaf(t, gateway)}.creds(),
		"an expired certificate":                    issued(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }).creds(),
		"a certificate without a name":              issued(t, func(c *x509.Certificate) { c.URIs = nil }).creds(),
		"a certificate with two names":              issued(t, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }).creds(),
		"a certificate with a name of another kind": issued(t, func(c *x509.Certificate) { c.URIs[0] = &url.URL{Scheme: "https", Host: "gateway"} }).creds(),
	} {
		for _, app := range apps {
			for _, call := range []func(context.Context, target) error{callLocal, callLocalStream} {
				err := call(t.Context(), target{port: instance(t, app).InternalGRPCPort, operation: app + ".get", creds: creds, claim: "gateway"})
				if code := status.Code(err); code != codes.Unavailable {
					t.Errorf("%s at the port of %s: got %v, want a closed connection", name, app, err)
				}
			}
		}
	}
}

// template returns a certificate with the name of the gateway.
func template(t *testing.T) *x509.Certificate {
	t.Helper()
	id, err := url.Parse("spiffe://public/ns/default/gateway")
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs: []*url.URL{id},
	}
}

// sign returns a new certificate with the given template that the parent signed, and the
// certificates that lead to it. Without a parent it is self-signed.
func sign(t *testing.T, cert *x509.Certificate, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, signerKey, rest := cert, any(key), [][]byte(nil)
	if parent != nil {
		if signer, err = x509.ParseCertificate(parent.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		signerKey, rest = parent.PrivateKey, parent.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, signer, public, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{der}, rest...), PrivateKey: key}
}

func selfSigned(t *testing.T) tls.Certificate { return sign(t, template(t), nil) }

// forgedChain returns a certificate of another authority with the same names as the right one.
func forgedChain(t *testing.T) tls.Certificate {
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
			Subject: pkix.Name{Organization: []string{"boxoffice"}, CommonName: name},
			IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
	}
	root := sign(t, ca("root"), nil)
	issuer := sign(t, ca("issuer"), &root)
	leaf := sign(t, template(t), &issuer)
	leaf.Certificate = leaf.Certificate[:2] // without the root, as Sentry sends it
	return leaf
}

// issued returns a certificate for the gateway that the authority of the stack issued after
// the change. Nobody but Sentry has the key of the authority; the test reads it to check
// what sidecars verify apart from the signature.
func issued(t *testing.T, change func(*x509.Certificate)) identity {
	t.Helper()
	dir := filepath.Join(running.Data, "run", "sentry")
	authority, err := tls.LoadX509KeyPair(filepath.Join(dir, "issuer.crt"), filepath.Join(dir, "issuer.key"))
	if err != nil {
		t.Fatal(err)
	}
	cert := template(t)
	change(cert)
	return identity{app: "gateway", cert: sign(t, cert, &authority)}
}

// signedByLeaf returns a certificate that the certificate of an app signed.
func signedByLeaf(t *testing.T, parent identity) tls.Certificate {
	return sign(t, template(t), &parent.cert)
}

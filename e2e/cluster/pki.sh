# Keys, certificates and kubeconfigs of a cluster: one authority signs all. For the scripts here and in ../node. Sourced,
# never run. All but kubeconfig work in the current directory: that of the keys.
# shellcheck shell=bash

# Longer than any test, and no longer: nothing here outlives one.
days=30

# The authority, and the key that signs service accounts' tokens.
make_authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days $days -sha256 \
    -keyout ca.key -out ca.crt -subj /CN=kubernetes-ca \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out service-account.key
  openssl pkey -in service-account.key -pubout -out service-account.pub
}

cert() { # FILE SUBJECT [NAMES]
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days $days -sha256 \
    -extfile <(
      echo "basicConstraints=critical,CA:FALSE"
      echo "keyUsage=critical,digitalSignature,keyEncipherment"
      echo "extendedKeyUsage=serverAuth,clientAuth"
      echo "subjectKeyIdentifier=hash"
      echo "authorityKeyIdentifier=keyid"
      [ -z "${3:-}" ] || echo "subjectAltName=$3"
    ) -out "$1.crt" 2>/dev/null
  rm -f "$1.csr"
}

kubeconfig() { # KEYS CLUSTER USER SERVER → on stdout; KEYS is the directory
  cat <<END
apiVersion: v1
kind: Config
current-context: $2
clusters:
- name: $2
  cluster:
    server: $4
    certificate-authority-data: $(base64 -w0 <"$1/ca.crt")
contexts:
- name: $2
  context: {cluster: $2, user: $3}
users:
- name: $3
  user:
    client-certificate-data: $(base64 -w0 <"$1/$3.crt")
    client-key-data: $(base64 -w0 <"$1/$3.key")
END
}

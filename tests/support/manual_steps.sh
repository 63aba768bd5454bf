#!/bin/bash
# The OpenSSL commands of "Understanding X.509 and CSR Workflows", Manual Setup, as they stand there: only PowerShell's
# quoting and here-strings are bash's, and `Get-Content | Set-Content` is cat. usage: manual_steps.sh STEP
# environment: certDir, registrationId; for the proofs rootVerCode and caVerCode
set -eu

folders() {
  mkdir -p "$certDir/root" "$certDir/ca" "$certDir/device"
}

authorities() {
  openssl req -x509 -new -nodes -newkey rsa:4096 -keyout "$certDir/root/root-ca.key" -out "$certDir/root/root-ca.pem" -days 3650 -sha256 \
    -subj "/CN=$registrationId-root" \
    -addext "basicConstraints=critical,CA:true,pathlen:1" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -addext "subjectKeyIdentifier=hash" \
    -addext "authorityKeyIdentifier=keyid:always"
  openssl genrsa -out "$certDir/ca/intermediate-ca.key" 4096
  openssl req -new \
    -key "$certDir/ca/intermediate-ca.key" \
    -out "$certDir/ca/intermediate-ca.csr" \
    -subj "/CN=$registrationId-intermediate"
  cat > "$certDir/ca/intermediate-ext.cnf" <<'EXTENSIONS'
[ v3_intermediate ]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
EXTENSIONS
  openssl x509 -req \
    -in "$certDir/ca/intermediate-ca.csr" \
    -CA "$certDir/root/root-ca.pem" \
    -CAkey "$certDir/root/root-ca.key" \
    -CAcreateserial \
    -out "$certDir/ca/intermediate-ca.pem" \
    -days 1825 -sha256 \
    -extfile "$certDir/ca/intermediate-ext.cnf" -extensions v3_intermediate
}

root_proof() {
  openssl genrsa -out "$certDir/root/verification.key" 2048
  openssl req -new -key "$certDir/root/verification.key" -out "$certDir/root/verification.csr" -subj "/CN=$rootVerCode"
  openssl x509 -req -in "$certDir/root/verification.csr" -CA "$certDir/root/root-ca.pem" -CAkey "$certDir/root/root-ca.key" -CAcreateserial -out "$certDir/root/verification.pem" -days 1 -sha256
}

ca_proof() {
  openssl genrsa -out "$certDir/ca/verification.key" 2048
  openssl req -new -key "$certDir/ca/verification.key" -out "$certDir/ca/verification.csr" -subj "/CN=$caVerCode"
  openssl x509 -req -in "$certDir/ca/verification.csr" -CA "$certDir/ca/intermediate-ca.pem" -CAkey "$certDir/ca/intermediate-ca.key" -CAcreateserial -out "$certDir/ca/verification.pem" -days 1 -sha256
}

device() {
  openssl genrsa -out "$certDir/device/device.key" 2048
  openssl req -new -key "$certDir/device/device.key" -out "$certDir/device/device.csr" -subj "/CN=$registrationId"
  cat > "$certDir/device/device-ext.cnf" <<EXTENSIONS
[ v3_req ]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
subjectAltName = DNS:$registrationId
authorityKeyIdentifier = keyid:always,issuer
EXTENSIONS
  openssl x509 -req -in "$certDir/device/device.csr" -CA "$certDir/ca/intermediate-ca.pem" -CAkey "$certDir/ca/intermediate-ca.key" -out "$certDir/device/device.pem" -days 365 -sha256 -extfile "$certDir/device/device-ext.cnf" -extensions v3_req
  cat "$certDir/ca/intermediate-ca.pem" "$certDir/root/root-ca.pem" > "$certDir/device/chain.pem"
  cat "$certDir/device/device.pem" "$certDir/ca/intermediate-ca.pem" "$certDir/root/root-ca.pem" > "$certDir/device/device-full-chain.pem"
}

"$1"

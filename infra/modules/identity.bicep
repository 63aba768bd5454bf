metadata description = 'Three identities, so that each has only what it needs: the app, IoT Hub with DPS, and Event Grid.'

param location string
param tags object
param token string

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-app-${token}'
  location: location
  tags: tags
}

// User-assigned, because its roles must exist before the hub and DPS that use them.
resource iot 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-iot-${token}'
  location: location
  tags: tags
}

resource events 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-events-${token}'
  location: location
  tags: tags
}

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output iotId string = iot.id
output iotPrincipalId string = iot.properties.principalId
output eventsId string = events.id
output eventsPrincipalId string = events.properties.principalId

metadata description = 'App Service Authentication before the app: 401 for whoever brings no token, without a secret of our own.'

param appName string
param clientId string
param tenantId string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource authentication 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      // None of them looks at who calls, so nothing that a caller could forge is believed there.
      excludedPaths: [
        '/api/health'
        '/api/openapi.json'
        '/api/alerts.schema.json'
        // The page and its files, which hold no data: it asks the API who looks, and goes to the login by itself.
        '/api/dashboard'
        '/api/dashboard/*'
      ]
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: clientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenantId}/v2.0'
          // Not a secret: the name of the setting that says which identity proves the app's registration.
          clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
        }
        validation: {
          allowedAudiences: [
            clientId
            'api://${clientId}'
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
      cookieExpiration: {
        convention: 'FixedTime'
        timeToExpiration: '08:00:00'
      }
      preserveUrlFragmentsForLogins: false
    }
  }
}

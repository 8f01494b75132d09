// Sasquash in a subscription: `azd up` deploys this, then the code, then event-subscription.bicep (docs/deploy.md).
targetScope = 'subscription'
import { actingMode, choices, redundancyKind } from 'modules/types.bicep'

@description('Name of this environment, part of every resource\'s name and tags. A subscription may have several.')
@minLength(2)
@maxLength(16)
param environmentName string

@description('Region of everything that is deployed.')
param location string

@description('What Sasquash may do without approval: observe (nothing), approve (everything requires approval), auto (what the rule table permits). There is no default: start with a week of observe.')
param mode actingMode

@description('Ids of the monitored subscriptions, separated by commas; empty for the one that this is deployed to. The identity gets its rights there.')
param subscriptionIds string = ''

@description('Whether to grant the rights in each of those subscriptions. Turn it off if an administrator grants them at a management group (infra/management-group.bicep).')
param grantRights bool = true

@description('Whether the identity may lock accounts down and set their SAS expiration policies. It can then change any property of an account: leave it off if you use neither.')
param lockdown bool = false

@description('Whether to create a storage account without data for the weekly drill. Requires this subscription to be among subscriptionIds.')
param drill bool = true

@description('Ids of storage accounts, separated by commas, whose use is logged to the workspace, so that mails and incidents can list what a leak touched. Each request is one billed line.')
param loggedAccounts string = ''

@description('Whether the intake, which parses untrusted input, is a separate app without rights on any account.')
param separateIntake bool = true

@description('How many instances of the responder are always ready for findings. 0: the first finding after an idle period waits for a cold start, and Event Grid may deliver it twice.')
@minValue(0)
@maxValue(10)
param alwaysReady int = 1

@description('Whether the responder runs in several zones of the region. Two instances at least are always ready then.')
param zoneRedundant bool = false

@description('How Sasquash\'s own storage accounts keep their copies. Standard_LRS in a region without zones.')
param redundancy redundancyKind = 'Standard_ZRS'

@description('Whether the deployment is in a network of its own: the responder, the topic, storage and vault have private endpoints there and no public access. Findings reach the responder by a queue.')
param privateNetwork bool = false

@description('Ids of the private DNS zones for blob, queue, table, vault, apps and topic, in this order, separated by commas, linked to the networks that resolve the names. Empty: the deployment creates them. policy: a policy of yours adds the names.')
param dnsZoneIds string = ''

@description('Whether a separate intake stays reachable from the internet in a private network.')
param publicIntake bool = true

@description('Addresses (IPv4, or ranges as 203.0.113.0/24), separated by commas, from which scanners may publish findings in a private network. Empty: from the network only.')
param publisherAddresses string = ''

@description('The security team\'s mailbox: a copy of every mail, and the receiver of the alert rules.')
param securityMailbox string

@description('Application id of the registration that people and reporters sign in to (scripts/create-registration.sh creates it). Empty: the API refuses every call but health.')
param apiClientId string = ''

@description('The other settings of the app, by their names (docs/settings.md). A secret is named by the id of a Key Vault secret: deployments keep their parameters.')
param settings choices = {}

@description('Tags of everything that is deployed: name=value, separated by commas.')
param tags string = ''

var suffix = uniqueString(subscription().id, environmentName, location)
var givenTags = toObject(
  empty(tags) ? [] : split(tags, ','),
  tag => trim(first(split(tag, '='))),
  tag => trim(substring(tag, indexOf(tag, '=') + 1))
)
var allTags = union(givenTags, {
  'azd-env-name': environmentName
  application: 'sasquash'
})

var monitored = empty(subscriptionIds)
  ? [subscription().subscriptionId]
  : map(split(subscriptionIds, ','), id => trim(id))
var withDrill = drill && contains(monitored, subscription().subscriptionId)

// Whether anything may be changed anywhere: by the mode, or by the tag of an account.
var tagModes = map(split(settings.?SASQUASH_TAG_MODES ?? '', ','), name => trim(name))
var acts = mode != 'observe' || contains(tagModes, 'approve') || contains(tagModes, 'auto')

// Names are computed here, not read from what is deployed: a preview shows only what is known before.
var storageName = 'stsq${suffix}'
var intakeStorageName = 'stsqin${suffix}'
var responderName = 'func-sasquash-${environmentName}-${suffix}'
var intakeName = 'func-sasquash-in-${environmentName}-${suffix}'
var topicName = 'egt-sasquash-${environmentName}-${suffix}'
var networkName = 'vnet-sasquash-${environmentName}'
var vaultName = 'kvsq${suffix}'
var intakeVaultName = 'kvsqin${suffix}'
var drillName = 'stsqdrill${suffix}'
var identityNames = {
  responder: 'id-sasquash-${environmentName}-responder'
  intake: 'id-sasquash-${environmentName}-intake'
}
var responderId = resourceId(
  subscription().subscriptionId,
  group.name,
  'Microsoft.ManagedIdentity/userAssignedIdentities',
  identityNames.responder
)
var intakeId = separateIntake
  ? resourceId(
      subscription().subscriptionId,
      group.name,
      'Microsoft.ManagedIdentity/userAssignedIdentities',
      identityNames.intake
    )
  : ''

// What makes sense in a private network only: without one it would cut the apps off.
var intakeIsPublic = publicIntake || privateNetwork
  ? publicIntake
  : fail('SASQUASH_PUBLIC_INTAKE false requires SASQUASH_PRIVATE_NETWORK true: nothing could reach the intake.')
var publishers = empty(publisherAddresses)
  ? []
  : privateNetwork
      ? map(split(publisherAddresses, ','), address => trim(address))
      : fail('SASQUASH_PUBLISHER_ADDRESSES requires SASQUASH_PRIVATE_NETWORK true: the apps themselves could not publish.')

// In the order of dnsZoneIds. learn.microsoft.com, "Azure private endpoint private DNS zone values".
var zoneNames = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.table.${environment().suffixes.storage}'
  'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  'privatelink.azurewebsites.net'
  'privatelink.eventgrid.azure.net'
]
var givenZones = map(split(dnsZoneIds, ','), id => trim(id))
var ownZones = privateNetwork && empty(dnsZoneIds)
var zones = ownZones
  ? map(
      zoneNames,
      name => resourceId(subscription().subscriptionId, group.name, 'Microsoft.Network/privateDnsZones', name)
    )
  : dnsZoneIds == 'policy'
      ? []
      : !privateNetwork || length(givenZones) == length(zoneNames)
          ? givenZones
          : fail('SASQUASH_DNS_ZONES has to have six ids, for blob, queue, table, vault, apps and topic, or be policy or empty.')

resource group 'Microsoft.Resources/resourceGroups@2024-07-01' = {
  name: 'rg-sasquash-${environmentName}'
  location: location
  tags: allTags
}

module identities 'modules/identities.bicep' = {
  scope: group
  name: 'identities'
  params: {
    responderName: identityNames.responder
    intakeName: separateIntake ? identityNames.intake : ''
    location: location
    tags: allTags
  }
}

var responderPrincipal = {
  id: responderId
  principalId: identities.outputs.responderPrincipalId
}
var intakePrincipal = {
  id: intakeId
  principalId: identities.outputs.intakePrincipalId
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    publishers: [
      responderPrincipal
    ]
  }
}

// The intake's telemetry has a workspace of its own. Who writes to that of the responder can feign its sweep, and the
// alert that it is not running would stay silent.
module intakeMonitoring 'modules/monitoring.bicep' = if (separateIntake) {
  scope: group
  name: 'intake-monitoring'
  params: {
    environmentName: '${environmentName}-intake'
    location: location
    tags: allTags
    publishers: [
      intakePrincipal
    ]
  }
}

// Records are kept this long, 0 for good. The default is that of docs/settings.md.
var retentionDays = int(empty(settings.?SASQUASH_RETENTION_DAYS ?? '') ? '400' : settings.SASQUASH_RETENTION_DAYS!)

module history 'modules/history.bicep' = {
  scope: group
  name: 'history'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    recordDays: retentionDays
    writerId: responderId
    writerPrincipalId: identities.outputs.responderPrincipalId
  }
  dependsOn: [
    monitoring
  ]
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  name: 'network'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  name: 'storage'
  params: {
    name: storageName
    location: location
    tags: allTags
    redundancy: redundancy
    responderId: responderId
    responderPrincipalId: identities.outputs.responderPrincipalId
    intakeId: intakeId
    intakePrincipalId: identities.outputs.intakePrincipalId
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module intakeStorage 'modules/intake-storage.bicep' = if (separateIntake) {
  scope: group
  name: 'intake-storage'
  params: {
    name: intakeStorageName
    location: location
    tags: allTags
    redundancy: redundancy
    identityId: intakeId
    principalId: identities.outputs.intakePrincipalId
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  name: 'vault'
  params: {
    name: vaultName
    location: location
    tags: allTags
    readers: [
      responderPrincipal
    ]
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

// The secrets that authenticate reports, and the GitHub App that may only read: each app reads its own vault alone.
module intakeVault 'modules/vault.bicep' = if (separateIntake) {
  scope: group
  name: 'intake-vault'
  params: {
    name: intakeVaultName
    location: location
    tags: allTags
    readers: [
      intakePrincipal
    ]
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module drillAccount 'modules/drill.bicep' = if (withDrill) {
  scope: group
  name: 'drill'
  params: {
    name: drillName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module topic 'modules/topic.bicep' = {
  scope: group
  name: 'topic'
  params: {
    name: topicName
    location: location
    tags: allTags
    storageName: storageName
    senders: separateIntake ? [responderPrincipal, intakePrincipal] : [responderPrincipal]
    privateNetwork: privateNetwork
    publisherAddresses: publishers
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    storage
  ]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: 'alerts'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    mailbox: securityMailbox
    workspaceId: monitoring.outputs.workspaceId
    intakeWorkspaceId: separateIntake ? intakeMonitoring!.outputs.workspaceId : ''
    topicId: topic.outputs.id
    intakeName: separateIntake ? intakeName : ''
    intakeIsPublic: intakeIsPublic
  }
  dependsOn: [
    intake
  ]
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  name: 'workbook'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module dns 'modules/private-dns.bicep' = if (ownZones) {
  scope: group
  name: 'private-dns'
  params: {
    tags: allTags
    networkName: networkName
    zoneNames: zoneNames
  }
  dependsOn: [
    network
  ]
}

module endpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  scope: group
  name: 'private-endpoints'
  params: {
    location: location
    tags: allTags
    networkName: networkName
    storageName: storageName
    intakeStorageName: separateIntake ? intakeStorageName : ''
    vaultName: vaultName
    intakeVaultName: separateIntake ? intakeVaultName : ''
    topicName: topicName
    responderName: responderName
    intakeName: separateIntake && !intakeIsPublic ? intakeName : ''
    dnsZoneIds: zones
  }
  dependsOn: [
    network
    dns
    storage
    intakeStorage
    vault
    intakeVault
    topic
    responder
    intake
  ]
}

// Secrets and, of senders, what follows each name. Each has to be an id.
var secretSettings = concat(
  [
    settings.?SASQUASH_AZURE_DEVOPS_PASSWORD ?? ''
    settings.?SASQUASH_GITHUB_CLOSING_PRIVATE_KEY ?? ''
    settings.?SASQUASH_GITHUB_PRIVATE_KEY ?? ''
    settings.?SASQUASH_GITHUB_WEBHOOK_SECRET ?? ''
    settings.?SASQUASH_INCIDENT_WEBHOOK_SECRET ?? ''
  ],
  map(split(settings.?SASQUASH_INTAKE_SENDERS ?? '', ','), sender => trim(substring(sender, indexOf(sender, '=') + 1)))
)
var secretsAreIds = empty(filter(secretSettings, secret => !empty(secret) && !startsWith(secret, 'https://')))

// As JSON or, since azd cannot pass quotation marks, as base64 of it.
var givenRules = settings.?SASQUASH_RULES ?? ''
var rules = empty(givenRules) || startsWith(givenRules, '[') ? givenRules : base64ToString(givenRules)

// The settings of docs/settings.md. Each app adds its identity.
var appSettings = union(
  secretsAreIds
    ? settings
    : fail('A setting has a secret as its value. Put the secret into the key vault, and set its id: docs/settings.md.'),
  {
    SASQUASH_MODE: mode
    SASQUASH_SUBSCRIPTIONS: join(monitored, ',')
    SASQUASH_TOPIC_ENDPOINT: topic.outputs.endpoint
    SASQUASH_TENANT_ID: tenant().tenantId
    SASQUASH_API_AUDIENCES: empty(apiClientId) ? '' : '${apiClientId},api://${apiClientId}'
    SASQUASH_HOST_ACCOUNTS: separateIntake ? intakeStorageName : ''
    SASQUASH_SECURITY_MAILBOX: securityMailbox
    SASQUASH_DRILL_ACCOUNT: withDrill ? drillName : ''
    SASQUASH_RULES: rules
    SASQUASH_HISTORY_ENDPOINT: history.outputs.endpoint
    SASQUASH_HISTORY_RULE: history.outputs.ruleId
    SASQUASH_HISTORY_WORKSPACE: history.outputs.workspaceId
  }
)

// Of two apps, each gets what it reads (shared/intake_settings.py has the same names).
var settingNames = loadJsonContent('settings.json')
var responderSettings = separateIntake
  ? toObject(
      filter(items(appSettings), setting => !contains(settingNames.onlyIntake, setting.key)),
      setting => setting.key,
      setting => setting.value
    )
  : appSettings
var intakeSettings = toObject(
  filter(items(appSettings), setting => contains(settingNames.intake, setting.key)),
  setting => setting.key,
  setting => setting.value
)

// The functions of each app are disabled in the other. Health is in both. Findings arrive in one of two ways.
// The queue is read in both: a network that is opened again leaves messages there, which never expire.
var functions = loadJsonContent('functions.json')
var deliveries = loadJsonContent('deliveries.json')
var unusedDelivery = privateNetwork ? deliveries.eventGrid : []

var ready = zoneRedundant ? max(alwaysReady, 2) : alwaysReady

module responder 'modules/app.bicep' = {
  scope: group
  name: 'responder'
  params: {
    name: responderName
    service: 'responder'
    location: location
    tags: allTags
    identityId: responderId
    clientId: identities.outputs.responderClientId
    storageName: storageName
    hostStorageName: storageName
    container: 'package-responder'
    insightsConnection: monitoring.outputs.insightsConnection
    settings: responderSettings
    hasRecords: true
    disabled: concat(separateIntake ? functions.intake : [], unusedDelivery)
    zoneRedundant: zoneRedundant
    alwaysReady: ready == 0
      ? []
      : [
          {
            // The host groups Event Grid triggers with HTTP, and a queue trigger is a group of its own
            // (Azure/azure-functions-host, FunctionMetadataExtensions.GetFunctionGroup): an instance of
            // 'function:on_finding' would serve no finding.
            name: privateNetwork ? 'function:${deliveries.queue[0]}' : 'http'
            instanceCount: ready
          }
        ]
    isPublic: !privateNetwork
    subnetId: privateNetwork ? network!.outputs.appsSubnetId : ''
    apiClientId: apiClientId
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [
    storage
  ]
}

module intake 'modules/app.bicep' = if (separateIntake) {
  scope: group
  name: 'intake'
  params: {
    name: intakeName
    service: 'intake'
    location: location
    tags: allTags
    identityId: intakeId
    clientId: identities.outputs.intakeClientId
    storageName: storageName
    hostStorageName: intakeStorageName
    container: 'package-intake'
    insightsConnection: intakeMonitoring!.outputs.insightsConnection
    settings: intakeSettings
    hasRecords: false
    disabled: functions.responder
    zoneRedundant: false
    alwaysReady: []
    isPublic: intakeIsPublic
    subnetId: privateNetwork ? network!.outputs.appsSubnetId : ''
    apiClientId: apiClientId
    workspaceId: intakeMonitoring!.outputs.workspaceId
  }
  dependsOn: [
    storage
    intakeStorage
  ]
}

module rights 'modules/rights.bicep' = [
  for id in (grantRights ? monitored : []): {
    scope: subscription(id)
    name: 'sasquash-rights-${environmentName}'
    params: {
      environmentName: environmentName
      // Named after it: an identity that is created again needs assignments of its own.
      #disable-next-line what-if-short-circuiting
      principalId: identities.outputs.responderPrincipalId
      acts: acts
      lockdown: lockdown
    }
  }
]

module accountLogs 'modules/account-logs.bicep' = [
  for id in (empty(loggedAccounts) ? [] : map(split(loggedAccounts, ','), id => trim(id))): {
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    name: 'sasquash-logs-${environmentName}-${uniqueString(id)}'
    params: {
      accountName: last(split(id, '/'))
      environmentName: environmentName
      workspaceId: monitoring.outputs.workspaceId
    }
  }
]

@description('The resource group of event-subscription.bicep.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The topic that findings are published on.')
output SASQUASH_TOPIC_NAME string = topic.outputs.name

@description('Its endpoint, for publishers.')
output SASQUASH_TOPIC_ENDPOINT string = topic.outputs.endpoint

@description('The account with the dead letters.')
output SASQUASH_STORAGE_NAME string = storageName

@description('The queue that Event Grid delivers findings to in a private network, for event-subscription.bicep. Empty: it calls on_finding.')
output SASQUASH_FINDINGS_QUEUE string = privateNetwork ? 'findings' : ''

@description('The app with the function on_finding.')
output SASQUASH_RESPONDER_NAME string = responder.outputs.name

@description('The responders\' API.')
output SASQUASH_API string = 'https://${responder.outputs.host}/api'

@description('Prints an access token for the API, of the account that is signed in to the Azure CLI. Empty without apiClientId.')
output SASQUASH_TOKEN_COMMAND string = empty(apiClientId)
  ? ''
  : 'az account get-access-token --resource api://${apiClientId} --query accessToken --output tsv'

@description('Where reporters post.')
output SASQUASH_INTAKE string = 'https://${separateIntake ? intake!.outputs.host : responder.outputs.host}/api/intake'

@description('For scripts/grant-graph.sh and scripts/grant-exchange.ps1.')
output SASQUASH_RESPONDER_PRINCIPAL_ID string = identities.outputs.responderPrincipalId

@description('For scripts/grant-graph.sh and scripts/grant-exchange.ps1.')
output SASQUASH_RESPONDER_CLIENT_ID string = identities.outputs.responderClientId

@description('For scripts/grant-graph.sh, where Defender reports. Empty without a separate intake.')
output SASQUASH_INTAKE_PRINCIPAL_ID string = identities.outputs.intakePrincipalId

@description('The vault with the secrets of the responder\'s settings.')
output SASQUASH_VAULT_NAME string = vaultName

@description('The vault with the secrets of the intake\'s settings. With one app it is the same.')
output SASQUASH_INTAKE_VAULT_NAME string = separateIntake ? intakeVaultName : vaultName

"""Where AWS's services stand in the palette."""

from __future__ import annotations

from dataclasses import dataclass

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Look:
    """How a category looks: a Lucide icon and a colour."""

    icon: str
    color: str


LOOKS: dict[str, Look] = {
    "compute": Look("cpu", "#ed7100"),
    "containers": Look("container", "#ed7100"),
    "storage": Look("hard-drive", "#7aa116"),
    "database": Look("database", "#c925d1"),
    "networking": Look("network", "#8c4fff"),
    "security": Look("shield", "#dd344c"),
    "integration": Look("workflow", "#e7157b"),
    "operations": Look("activity", "#e7157b"),
    "cost": Look("wallet", "#7aa116"),
    "analytics": Look("chart-column", "#8c4fff"),
    "ai": Look("brain-circuit", "#01a88d"),
    "developer": Look("code-xml", "#c925d1"),
    "iot": Look("radio", "#7aa116"),
    "media": Look("clapperboard", "#ed7100"),
    "migration": Look("truck", "#01a88d"),
    "messaging": Look("message-square", "#dd344c"),
    OTHER: Look("cloud", "#64748b"),
}

ICONS = {
    "ec2": "server",
    "lambda": "zap",
    "autoscaling": "scaling",
    "s3": "folder-archive",
    "efs": "folder-tree",
    "backup": "archive-restore",
    "ebs": "hard-drive",
    "dynamodb": "table",
    "elasticache": "memory-stick",
    "route53": "signpost",
    "cloudfront": "globe",
    "elb": "split",
    "elbv2": "split",
    "iam": "user-cog",
    "kms": "key-round",
    "secretsmanager": "lock-keyhole",
    "sts": "id-card",
    "wafv2": "brick-wall-shield",
    "acm": "badge-check",
    "sqs": "list-ordered",
    "sns": "megaphone",
    "events": "calendar-clock",
    "scheduler": "alarm-clock",
    "stepfunctions": "git-branch",
    "apigateway": "door-open",
    "apigatewayv2": "door-open",
    "kinesis": "waves",
    "cloudwatch": "gauge",
    "logs": "scroll-text",
    "cloudformation": "layers",
    "cloudtrail": "footprints",
    "ssm": "sliders-horizontal",
    "organizations": "building-2",
    "ses": "mail",
    "sesv2": "mail",
    "ecr": "package",
    "eks": "ship-wheel",
    "ecs": "container",
    "ce": "wallet",
    "budgets": "piggy-bank",
    "resourcegroupstaggingapi": "tags",
    "bedrock-runtime": "sparkles",
}

_SERVICES = {
    "compute": "ec2 lambda lambda-core lambda-web lambda-microvms autoscaling autoscaling-plans"
    " application-autoscaling batch lightsail imagebuilder elasticbeanstalk outposts apprunner"
    " ec2-instance-connect compute-optimizer parallelcluster pcs serverlessrepo evs",
    "containers": "ecs eks eks-auth ecr ecr-public emr-containers",
    "storage": "s3 s3control s3outposts s3tables s3vectors s3files ebs efs fsx glacier backup"
    " backup-gateway backupsearch storagegateway dlm rbin datasync snowball workdocs",
    "database": "rds rds-data dynamodb dynamodbstreams dax docdb docdb-elastic dsql elasticache"
    " memorydb neptune neptune-graph neptunedata keyspaces keyspacesstreams qldb qldb-session"
    " timestream-query timestream-write timestream-influxdb redshift redshift-data"
    " redshift-serverless sdb simpledbv2 odb",
    "networking": "elb elbv2 route53 route53domains route53profiles route53resolver"
    " route53globalresolver route53-recovery-cluster route53-recovery-control-config"
    " route53-recovery-readiness cloudfront cloudfront-keyvaluestore directconnect"
    " globalaccelerator networkmanager networkmonitor networkflowmonitor network-firewall"
    " vpc-lattice appmesh servicediscovery apigateway apigatewayv2 apigatewaymanagementapi"
    " internetmonitor interconnect",
    "security": "iam iam-toolbox sts kms secretsmanager acm acm-pca guardduty inspector inspector2"
    " inspector-scan macie2 securityhub securitylake security-ir shield waf waf-regional wafv2 fms"
    " accessanalyzer detective cognito-identity cognito-idp cognito-sync sso sso-admin sso-oidc"
    " identitystore ram rolesanywhere verifiedpermissions cloudhsm cloudhsmv2 signer auditmanager"
    " artifact ds ds-data payment-cryptography payment-cryptography-data pca-connector-ad"
    " pca-connector-scep network-security-manager account-access",
    "integration": "sqs sns events eventbridgev2 pipes scheduler schemas stepfunctions mq mwaa"
    " mwaa-serverless swf appflow appintegrations appsync b2bi",
    "operations": "cloudwatch logs cloudformation cloudcontrol cloudtrail cloudtrail-data config"
    " ssm ssm-contacts ssm-guiconnect ssm-incidents ssm-quicksetup ssm-sap organizations account"
    " resource-groups resourcegroupstaggingapi resource-explorer-2 service-quotas servicecatalog"
    " servicecatalog-appregistry support support-app trustedadvisor health controltower"
    " controlcatalog license-manager license-manager-linux-subscriptions"
    " license-manager-user-subscriptions opsworks opsworkscm proton appconfig appconfigdata"
    " application-insights application-signals applicationcostprofiler arc-region-switch"
    " arc-zonal-shift fis resiliencehub resiliencehubv2 synthetics rum xray oam observabilityadmin"
    " launch-wizard wellarchitected chatbot notifications notificationscontacts devops-agent"
    " devops-guru amp grafana",
    "cost": "ce budgets cur pricing savingsplans cost-optimization-hub billing billingconductor"
    " bcm-dashboards bcm-data-exports bcm-pricing-calculator bcm-recommended-actions freetier"
    " invoicing tax taxsettings compute-optimizer-automation",
    "analytics": "athena glue emr emr-serverless kinesis kinesisanalytics kinesisanalyticsv2"
    " firehose kafka kafkaconnect opensearch opensearchserverless es osis cloudsearch"
    " cloudsearchdomain quicksight lakeformation databrew dataexchange datapipeline datazone"
    " finspace finspace-data cleanrooms cleanroomsml entityresolution",
    "ai": "bedrock bedrock-agent bedrock-agent-runtime bedrock-agentcore bedrock-agentcore-control"
    " bedrock-data-automation bedrock-data-automation-runtime bedrock-runtime sagemaker"
    " sagemaker-a2i-runtime sagemaker-edge sagemaker-featurestore-runtime sagemaker-geospatial"
    " sagemaker-inference-router-runtime sagemaker-metrics sagemaker-runtime comprehend"
    " comprehendmedical rekognition textract transcribe translate polly lex-models lex-runtime"
    " lexv2-models lexv2-runtime kendra kendra-ranking personalize personalize-events"
    " personalize-runtime forecast forecastquery frauddetector lookoutequipment lookoutmetrics"
    " lookoutvision machinelearning qapps qbusiness qconnect voice-id nova-act agent-registry"
    " agent-registry-control",
    "developer": "codeartifact codebuild codecatalyst codecommit codeconnections codedeploy"
    " codeguru-reviewer codeguru-security codeguruprofiler codepipeline codestar-connections"
    " codestar-notifications cloud9 amplify amplifybackend amplifyuibuilder devicefarm",
    "iot": "iot iot-data iot-jobs-data iot-managed-integrations iotanalytics iotdeviceadvisor"
    " iotevents iotevents-data iotfleetwise iotsecuretunneling iotsitewise iotthingsgraph"
    " iottwinmaker iotwireless greengrass greengrassv2 panorama",
    "media": "mediaconnect mediaconvert medialive mediapackage mediapackage-vod mediapackagev2"
    " mediastore mediastore-data mediatailor elastictranscoder ivs ivs-realtime ivschat"
    " kinesisvideo kinesis-video-archived-media kinesis-video-media kinesis-video-signaling"
    " kinesis-video-webrtc-storage deadline",
    "migration": "dms drs mgn mgh migrationhub-config migrationhuborchestrator"
    " migration-hub-refactor-spaces migrationhubstrategy application-discovery discovery transfer"
    " importexport m2 sms snow-device-management",
    "messaging": "ses sesv2 pinpoint pinpoint-email pinpoint-sms-voice pinpoint-sms-voice-v2"
    " sms-voice socialmessaging mailmanager connect connectcases connectcampaigns"
    " connectcampaignsv2 connect-contact-lens connectparticipant chime chime-sdk-identity"
    " chime-sdk-media-pipelines chime-sdk-meetings chime-sdk-messaging chime-sdk-voice wisdom"
    " workmail workmailmessageflow endusermessaging",
}
_CATEGORIES = {name: category for category, names in _SERVICES.items() for name in names.split()}


_FLAGSHIPS = frozenset(
    "ec2 s3 rds lambda iam dynamodb resourcegroupstaggingapi".split()  # noqa: SIM905 - as above
)


def prominence_of(service: str) -> float:
    """Return how likely a service is meant, from 0 to 1: some are used by everybody."""
    if service in _FLAGSHIPS:
        return 1.0
    return 0.7 if service in ICONS else 0.0


def category_of(service: str) -> str:
    """Return the palette's group for a service, by botocore's name of it."""
    return _CATEGORIES.get(service, OTHER)


def look_of(service: str) -> Look:
    """Return the icon and the colour of a service's nodes."""
    look = LOOKS[category_of(service)]
    return Look(ICONS.get(service, look.icon), look.color)

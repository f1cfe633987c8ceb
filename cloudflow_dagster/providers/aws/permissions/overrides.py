"""Where IAM's actions are called differently from the operations that need them. Reviewed by hand.

Names of operations are botocore's name of the service, a dot, and the API's own name. From the
pages on each service in AWS's Service Authorization Reference and the API references, as of
November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIXES: Mapping[str, str] = {
    "cloudcontrol": "cloudformation",
    "iot-data": "iot",
    "iot-jobs-data": "iotjobsdata",
    "iotsecuretunneling": "iot",
    "mturk": "mechanicalturk",
    "partnercentral-account": "partnercentral",
    "partnercentral-benefits": "partnercentral",
    "partnercentral-channel": "partnercentral",
    "partnercentral-selling": "partnercentral",
    "resourcegroupstaggingapi": "tag",
}
"""IAM's prefix of services whose model names another one for signing requests."""

FREE_SERVICES = frozenset({"connectparticipant", "sso", "sso-oidc"})
"""Their operations ask for tokens of their own, not for IAM's permission."""

FREE = frozenset(
    {
        "sts.GetCallerIdentity",
        "sts.GetSessionToken",
    }
)
"""Operations that whoever has credentials may call."""

_S3: Mapping[str, str] = {
    **{
        f"s3.{verb}Bucket{name}Configuration{plural}": f"s3:{needed}{name}Configuration"
        for name in ("Analytics", "IntelligentTiering", "Inventory", "Metrics")
        for verb, plural, needed in (
            ("Get", "", "Get"),
            ("List", "s", "Get"),
            ("Put", "", "Put"),
            ("Delete", "", "Put"),
        )
    },
    "s3.CompleteMultipartUpload": "s3:PutObject",
    "s3.CopyObject": "s3:GetObject s3:PutObject",
    "s3.CreateBucketMetadataConfiguration": "s3:CreateBucketMetadataTableConfiguration",
    "s3.CreateMultipartUpload": "s3:PutObject",
    "s3.CreateSession": "s3express:CreateSession",
    "s3.DeleteBucketCors": "s3:PutBucketCORS",
    "s3.DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3.DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3.DeleteBucketMetadataConfiguration": "s3:DeleteBucketMetadataTableConfiguration",
    "s3.DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3.DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "s3.DeleteBucketTagging": "s3:PutBucketTagging",
    "s3.DeleteObjects": "s3:DeleteObject",
    "s3.DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3.GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3.GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3.GetBucketLifecycle": "s3:GetLifecycleConfiguration",
    "s3.GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3.GetBucketMetadataConfiguration": "s3:GetBucketMetadataTableConfiguration",
    "s3.GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3.GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3.GetObjectAttributes": "s3:GetObject s3:GetObjectAttributes",
    "s3.GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3.GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3.HeadBucket": "s3:ListBucket",
    "s3.HeadObject": "s3:GetObject",
    "s3.ListBuckets": "s3:ListAllMyBuckets",
    "s3.ListDirectoryBuckets": "s3express:ListAllMyDirectoryBuckets",
    "s3.ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3.ListObjectVersions": "s3:ListBucketVersions",
    "s3.ListObjects": "s3:ListBucket",
    "s3.ListObjectsV2": "s3:ListBucket",
    "s3.ListParts": "s3:ListMultipartUploadParts",
    "s3.PutBucketAccelerateConfiguration": "s3:PutAccelerateConfiguration",
    "s3.PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3.PutBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3.PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3.PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3.PutBucketReplication": "s3:PutReplicationConfiguration",
    "s3.PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "s3.PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3.RenameObject": "s3express:CreateSession",
    "s3.SelectObjectContent": "s3:GetObject",
    "s3.UploadPart": "s3:PutObject",
    "s3.UploadPartCopy": "s3:GetObject s3:PutObject",
    "s3.WriteGetObjectResponse": "s3-object-lambda:WriteGetObjectResponse",
    "s3control.CreateBucket": "s3-outposts:CreateBucket",
    "s3control.DeleteBucket": "s3-outposts:DeleteBucket",
    "s3control.DeleteBucketLifecycleConfiguration": "s3-outposts:PutLifecycleConfiguration",
    "s3control.DeleteBucketPolicy": "s3-outposts:DeleteBucketPolicy",
    "s3control.DeleteBucketReplication": "s3-outposts:PutReplicationConfiguration",
    "s3control.DeleteBucketTagging": "s3-outposts:PutBucketTagging",
    "s3control.DeletePublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    "s3control.GetBucket": "s3-outposts:GetBucket",
    "s3control.GetBucketLifecycleConfiguration": "s3-outposts:GetLifecycleConfiguration",
    "s3control.GetBucketPolicy": "s3-outposts:GetBucketPolicy",
    "s3control.GetBucketReplication": "s3-outposts:GetReplicationConfiguration",
    "s3control.GetBucketTagging": "s3-outposts:GetBucketTagging",
    "s3control.GetBucketVersioning": "s3-outposts:GetBucketVersioning",
    "s3control.GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "s3control.ListRegionalBuckets": "s3-outposts:ListRegionalBuckets",
    "s3control.PutBucketLifecycleConfiguration": "s3-outposts:PutLifecycleConfiguration",
    "s3control.PutBucketPolicy": "s3-outposts:PutBucketPolicy",
    "s3control.PutBucketReplication": "s3-outposts:PutReplicationConfiguration",
    "s3control.PutBucketTagging": "s3-outposts:PutBucketTagging",
    "s3control.PutBucketVersioning": "s3-outposts:PutBucketVersioning",
    "s3control.PutPublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    **{
        f"s3control.{verb}AccessPointScope": f"s3express:{verb}AccessPointScope"
        for verb in ("Delete", "Get", "Put")
    },
    "s3control.ListAccessPointsForDirectoryBuckets": (
        "s3express:ListAccessPointsForDirectoryBuckets"
    ),
}

_DYNAMODB: Mapping[str, str] = {
    **{
        f"dynamodb.{operation}": (
            "dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect"
            " dynamodb:PartiQLUpdate"
        )
        for operation in ("BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction")
    },
    "dynamodb.TransactGetItems": "dynamodb:GetItem",
    "dynamodb.TransactWriteItems": (
        "dynamodb:ConditionCheckItem dynamodb:DeleteItem dynamodb:PutItem dynamodb:UpdateItem"
    ),
}

_BUDGETS: Mapping[str, str] = {
    **{
        f"budgets.{verb}{noun}": "budgets:ModifyBudget"
        for verb in ("Create", "Delete", "Update")
        for noun in ("Budget", "Notification", "Subscriber")
    },
    **{
        f"budgets.Describe{what}": "budgets:ViewBudget"
        for what in (
            "Budget",
            "BudgetNotificationsForAccount",
            "BudgetPerformanceHistory",
            "Budgets",
            "NotificationsForBudget",
            "SubscribersForNotification",
        )
    },
}

_KEYSPACES: Mapping[str, str] = {
    **{
        f"keyspaces.{verb}{noun}": f"cassandra:{action}"
        for verb, action in (("Create", "Create"), ("Delete", "Drop"), ("Get", "Select"))
        for noun in ("Keyspace", "Table", "Type")
    },
    "keyspaces.GetTableAutoScalingSettings": "cassandra:Select",
    "keyspaces.ListKeyspaces": "cassandra:Select",
    "keyspaces.ListTables": "cassandra:Select",
    "keyspaces.ListTagsForResource": "cassandra:Select",
    "keyspaces.ListTypes": "cassandra:Select",
    "keyspaces.RestoreTable": "cassandra:Restore",
    "keyspaces.UpdateKeyspace": "cassandra:Alter",
    "keyspaces.UpdateTable": "cassandra:Alter",
}

_NEPTUNE: Mapping[str, str] = {
    **{
        f"neptunedata.{operation}": "neptune-db:CancelQuery"
        for operation in ("CancelGremlinQuery", "CancelOpenCypherQuery")
    },
    **{
        f"neptunedata.Execute{language}Query": (
            "neptune-db:DeleteDataViaQuery neptune-db:ReadDataViaQuery neptune-db:WriteDataViaQuery"
        )
        for language in ("Gremlin", "OpenCypher")
    },
    **{
        f"neptunedata.{operation}": "neptune-db:ReadDataViaQuery"
        for operation in (
            "ExecuteGremlinExplainQuery",
            "ExecuteGremlinProfileQuery",
            "ExecuteOpenCypherExplainQuery",
        )
    },
    **{
        f"neptunedata.{operation}": "neptune-db:GetQueryStatus"
        for operation in (
            "GetGremlinQueryStatus",
            "GetOpenCypherQueryStatus",
            "ListGremlinQueries",
            "ListOpenCypherQueries",
        )
    },
    "neptunedata.DeletePropertygraphStatistics": "neptune-db:DeleteStatistics",
    "neptunedata.DeleteSparqlStatistics": "neptune-db:DeleteStatistics",
    "neptunedata.ExecuteFastReset": "neptune-db:ResetDatabase",
    "neptunedata.GetPropertygraphStatistics": "neptune-db:GetStatisticsStatus",
    "neptunedata.GetPropertygraphStream": "neptune-db:GetStreamRecords",
    "neptunedata.GetPropertygraphSummary": "neptune-db:GetGraphSummary",
    "neptunedata.GetRDFGraphSummary": "neptune-db:GetGraphSummary",
    "neptunedata.GetSparqlStatistics": "neptune-db:GetStatisticsStatus",
    "neptunedata.GetSparqlStream": "neptune-db:GetStreamRecords",
    "neptunedata.ManagePropertygraphStatistics": "neptune-db:ManageStatistics",
    "neptunedata.ManageSparqlStatistics": "neptune-db:ManageStatistics",
}

ACTIONS: Mapping[str, str] = {
    **_S3,
    **_DYNAMODB,
    **_BUDGETS,
    **_KEYSPACES,
    **_NEPTUNE,
    "accessanalyzer.GetFindingV2": "access-analyzer:GetFinding",
    "accessanalyzer.ListFindingsV2": "access-analyzer:ListFindings",
    "apigatewaymanagementapi.DeleteConnection": "execute-api:ManageConnections",
    "apigatewaymanagementapi.GetConnection": "execute-api:ManageConnections",
    "apigatewaymanagementapi.PostToConnection": "execute-api:ManageConnections",
    "batch.CancelJobs": "batch:CancelJob",
    "batch.TerminateJobs": "batch:TerminateJob",
    "batch.TerminateServiceJobs": "batch:TerminateServiceJob",
    "bedrock-agent-runtime.RetrieveAndGenerateStream": "bedrock:RetrieveAndGenerate",
    "bedrock-runtime.Converse": "bedrock:InvokeModel",
    "bedrock-runtime.ConverseStream": "bedrock:InvokeModelWithResponseStream",
    "bedrock-runtime.StartAsyncInvoke": "bedrock:InvokeModel",
    "cloudfront.CreateDistributionWithTags": "cloudfront:CreateDistribution cloudfront:TagResource",
    "cloudfront.CreateStreamingDistributionWithTags": (
        "cloudfront:CreateStreamingDistribution cloudfront:TagResource"
    ),
    "cloudsearchdomain.UploadDocuments": "cloudsearch:document",
    "kms.ReEncrypt": "kms:ReEncryptFrom kms:ReEncryptTo",
    "lambda.GetLayerVersionByArn": "lambda:GetLayerVersion",
    "lambda.Invoke": "lambda:InvokeFunction",
    "lambda.InvokeWithResponseStream": "lambda:InvokeFunction",
    "lexv2-models.ListUtteranceAnalyticsData": "lex:ListAggregatedUtterances",
    "lexv2-models.ListUtteranceMetrics": "lex:ListAggregatedUtterances",
    "sns.PublishBatch": "sns:Publish",
    "sqs.ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs.DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs.SendMessageBatch": "sqs:SendMessage",
    "timestream-query.Query": "timestream:Select",
    "verifiedpermissions.BatchIsAuthorized": "verifiedpermissions:IsAuthorized",
    "verifiedpermissions.BatchIsAuthorizedWithToken": "verifiedpermissions:IsAuthorizedWithToken",
}
"""The actions of operations that are called differently, separated by spaces."""

MORE_WITH: Mapping[str, Mapping[str, str]] = {
    "s3.CopyObject": {
        "ACL": "s3:PutObjectAcl",
        "Tagging": "s3:PutObjectTagging",
        "ObjectLockRetainUntilDate": "s3:PutObjectRetention",
        "ObjectLockLegalHoldStatus": "s3:PutObjectLegalHold",
    },
    "s3.CreateBucket": {
        "ACL": "s3:PutBucketAcl",
        "ObjectLockEnabledForBucket": "s3:PutBucketObjectLockConfiguration s3:PutBucketVersioning",
        "ObjectOwnership": "s3:PutBucketOwnershipControls",
    },
    "s3.CreateMultipartUpload": {
        "ACL": "s3:PutObjectAcl",
        "Tagging": "s3:PutObjectTagging",
        "ObjectLockRetainUntilDate": "s3:PutObjectRetention",
        "ObjectLockLegalHoldStatus": "s3:PutObjectLegalHold",
    },
    "s3.PutObject": {
        "ACL": "s3:PutObjectAcl",
        "Tagging": "s3:PutObjectTagging",
        "ObjectLockRetainUntilDate": "s3:PutObjectRetention",
        "ObjectLockLegalHoldStatus": "s3:PutObjectLegalHold",
    },
    "s3.DeleteObject": {"BypassGovernanceRetention": "s3:BypassGovernanceRetention"},
    "s3.DeleteObjects": {
        "BypassGovernanceRetention": "s3:BypassGovernanceRetention",
        "VersionId": "s3:DeleteObjectVersion",
    },
    "s3.PutObjectRetention": {"BypassGovernanceRetention": "s3:BypassGovernanceRetention"},
    "lambda.CreateFunction": {
        "Layers": "lambda:GetLayerVersion",
        "Tags": "lambda:TagResource",
        "S3Bucket": "s3:GetObject",
    },
    "lambda.UpdateFunctionCode": {"S3Bucket": "s3:GetObject"},
    "lambda.UpdateFunctionConfiguration": {"Layers": "lambda:GetLayerVersion"},
    "sqs.CreateQueue": {"tags": "sqs:TagQueue"},
    "sns.CreateTopic": {"Tags": "sns:TagResource"},
    "dynamodb.CreateTable": {"Tags": "dynamodb:TagResource"},
    "iam.CreateRole": {"Tags": "iam:TagRole"},
    "iam.CreateUser": {"Tags": "iam:TagUser"},
    "iam.CreatePolicy": {"Tags": "iam:TagPolicy"},
    "secretsmanager.CreateSecret": {"Tags": "secretsmanager:TagResource"},
    "ssm.PutParameter": {"Tags": "ssm:AddTagsToResource"},
    "logs.CreateLogGroup": {"tags": "logs:TagResource"},
    "events.PutRule": {"Tags": "events:TagResource"},
    "cloudwatch.PutMetricAlarm": {"Tags": "cloudwatch:TagResource"},
    "stepfunctions.CreateStateMachine": {"tags": "states:TagResource"},
    "ecs.RunTask": {"tags": "ecs:TagResource"},
    "ecs.CreateService": {"tags": "ecs:TagResource"},
    "ecs.CreateCluster": {"tags": "ecs:TagResource"},
    "ecs.RegisterTaskDefinition": {"tags": "ecs:TagResource"},
}
"""Dependent actions of operations, by the field of the config with which they are needed.

Those that IAM's list names itself are not here.
"""

INSTEAD_WITH: Mapping[str, Mapping[str, tuple[str, str]]] = {
    f"s3.{operation}": {"VersionId": (f"s3:{action}", f"s3:{versioned}")}
    for operation, action, versioned in (
        ("CopyObject", "GetObject", "GetObjectVersion"),
        ("DeleteObject", "DeleteObject", "DeleteObjectVersion"),
        ("DeleteObjectTagging", "DeleteObjectTagging", "DeleteObjectVersionTagging"),
        ("GetObject", "GetObject", "GetObjectVersion"),
        ("GetObjectAcl", "GetObjectAcl", "GetObjectVersionAcl"),
        ("GetObjectTagging", "GetObjectTagging", "GetObjectVersionTagging"),
        ("HeadObject", "GetObject", "GetObjectVersion"),
        ("PutObjectAcl", "PutObjectAcl", "PutObjectVersionAcl"),
        ("PutObjectTagging", "PutObjectTagging", "PutObjectVersionTagging"),
    )
}
"""Actions that another one takes the place of, with a field of the config."""

PASSES_ROLE: Mapping[str, str] = {
    "apigateway.PutIntegration": "credentials",
    "batch.RegisterJobDefinition": "jobRoleArn executionRoleArn",
    "cloudformation.CreateChangeSet": "RoleARN",
    "cloudformation.CreateStack": "RoleARN",
    "cloudformation.DeleteStack": "RoleARN",
    "cloudformation.UpdateStack": "RoleARN",
    "codebuild.CreateProject": "serviceRole",
    "codebuild.UpdateProject": "serviceRole",
    "codepipeline.CreatePipeline": "roleArn",
    "codepipeline.UpdatePipeline": "roleArn",
    "config.PutConfigurationRecorder": "roleARN",
    "ecs.CreateService": "",
    "ecs.RunTask": "",
    "ecs.RegisterTaskDefinition": "taskRoleArn executionRoleArn",
    "ecs.StartTask": "",
    "ecs.UpdateService": "taskDefinition role roleArn",
    "eks.CreateCluster": "roleArn",
    "eks.CreateFargateProfile": "podExecutionRoleArn",
    "eks.CreateNodegroup": "nodeRole",
    "emr.RunJobFlow": "ServiceRole JobFlowRole AutoScalingRole",
    "events.PutRule": "RoleArn",
    "events.PutTargets": "RoleArn",
    "firehose.CreateDeliveryStream": "RoleARN",
    "glue.CreateCrawler": "Role",
    "glue.CreateJob": "Role",
    "glue.UpdateCrawler": "Role",
    "glue.UpdateJob": "Role",
    "iot.CreateTopicRule": "roleArn",
    "iot.ReplaceTopicRule": "roleArn",
    "lambda.UpdateFunctionConfiguration": "Role",
    "logs.PutDestination": "roleArn",
    "logs.PutSubscriptionFilter": "roleArn",
    "ssm.SendCommand": "ServiceRoleArn",
}
"""Operations that hand a role over though IAM's list does not say so, with the fields that name
the role; none where it is named elsewhere, as in a task definition."""

KMS_TOO: Mapping[str, tuple[str, str]] = {
    "s3.PutObject": ("SSEKMSKeyId", "kms:GenerateDataKey"),
    "secretsmanager.CreateSecret": ("KmsKeyId", "kms:Decrypt kms:GenerateDataKey"),
    "secretsmanager.GetSecretValue": ("", "kms:Decrypt"),
    "secretsmanager.PutSecretValue": ("", "kms:Decrypt kms:GenerateDataKey"),
    "secretsmanager.UpdateSecret": ("", "kms:Decrypt kms:GenerateDataKey"),
    "ssm.GetParameter": ("WithDecryption", "kms:Decrypt"),
    "ssm.GetParameters": ("WithDecryption", "kms:Decrypt"),
    "ssm.GetParametersByPath": ("WithDecryption", "kms:Decrypt"),
}
"""The field of the config with which operations need something of KMS, or none, and what.

It is not needed where AWS's own key protects the secret, which is not known before.
"""

GUARDS: tuple[tuple[str, str], ...] = (
    (r"iam:PassRole", r"role|instanceprofile"),
    (r"[\w-]+:(AddTags\w*|CreateTags|Tag\w*)", r"^tag(s|list|set|specifications?)?$"),
    (r"kms:\w+", r"kms|encrypt|sse"),
    (r"secretsmanager:\w+", r"secret|managemasteruserpassword"),
    (r"s3:\w+", r"s3|bucket|snapshotarns"),
    (r"lambda:PassCapacityProvider", r"capacityprovider"),
    (r"rds:CreateTenantDatabase", r"multitenant"),
    (r"states:PublishStateMachineVersion", r"^publish$"),
)
"""Dependent actions, and the fields of a config with which they are needed, as patterns.

Where an operation has no such field, they are taken to be always needed.
"""

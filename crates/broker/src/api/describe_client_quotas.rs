//! DescribeClientQuotas: the quotas of the entities that fit a filter.

use ottla_controller::{Outcome, QuotaFilter, QuotaMatch};
use ottla_metadata::{QuotaEntity, Quotas};
use ottla_protocol::messages::describe_client_quotas_request::ComponentData;
use ottla_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use ottla_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::Context;
use super::failure::Failure;

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

pub async fn handle(context: &Context, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    match describe(context, &request).await {
        Ok(found) => DescribeClientQuotasResponse {
            entries: Some(found.into_iter().map(|(entity, quotas)| entry(entity, quotas)).collect()),
            ..Default::default()
        },
        Err(failure) => DescribeClientQuotasResponse {
            error_code: failure.code.code(),
            error_message: failure.message,
            entries: None,
            ..Default::default()
        },
    }
}

async fn describe(
    context: &Context,
    request: &DescribeClientQuotasRequest,
) -> Result<Vec<(QuotaEntity, Quotas)>, Failure> {
    let filter = request.components.iter().map(filter).collect::<Result<Vec<_>, _>>()?;
    let strict = request.strict;
    context
        .control(move |controller, _| {
            let answer = controller.describe_client_quotas(&filter, strict)?;
            Ok(Outcome { records: Vec::new(), atomic: false, answer })
        })
        .await
}

fn filter(component: &ComponentData) -> Result<QuotaFilter, Failure> {
    let with_name = |kind| Failure::invalid_request(&format!("Request specified {kind}, but also specified a match string."));
    let wanted = match (component.match_type, &component.r#match) {
        (EXACT, Some(name)) => QuotaMatch::Exact(name.detached()),
        (EXACT, None) => {
            let message = "Request specified MATCH_TYPE_EXACT, but set match string to null.";
            return Err(Failure::invalid_request(message));
        }
        (DEFAULT, None) => QuotaMatch::Default,
        (DEFAULT, Some(_)) => return Err(with_name("MATCH_TYPE_DEFAULT")),
        (SPECIFIED, None) => QuotaMatch::Any,
        (SPECIFIED, Some(_)) => return Err(with_name("MATCH_TYPE_SPECIFIED")),
        (unknown, _) => return Err(Failure::invalid_request(&format!("Unknown match type {unknown}"))),
    };
    Ok(QuotaFilter { entity_type: component.entity_type.detached(), wanted })
}

fn entry(entity: QuotaEntity, quotas: Quotas) -> EntryData {
    let entity = entity.0.into_iter();
    let values = quotas.into_iter();
    EntryData {
        entity: entity
            .map(|(entity_type, entity_name)| EntityData { entity_type, entity_name, ..Default::default() })
            .collect(),
        values: values.map(|(key, value)| ValueData { key, value, ..Default::default() }).collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;

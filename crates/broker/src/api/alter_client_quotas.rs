//! AlterClientQuotas: sets and removes quotas, which the metadata log keeps.

use ottla_controller::QuotaAlteration;
use ottla_protocol::messages::alter_client_quotas_request::EntryData as AskedEntry;
use ottla_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use ottla_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use ottla_protocol::Str;

use super::Context;
use super::failure::{Failure, fields};

pub async fn handle(context: &Context, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let alterations: Vec<QuotaAlteration> = request.entries.iter().map(alteration).collect();
    let validate_only = request.validate_only;
    let decided =
        context.control(move |controller, _| controller.alter_client_quotas(&alterations, validate_only)).await;
    let entries = match decided {
        Ok(answers) => {
            let outcomes = answers.into_iter().map(|answer| answer.map_err(Failure::from));
            request.entries.into_iter().zip(outcomes).map(|(asked, outcome)| entry(asked, outcome)).collect()
        }
        Err(failure) => request.entries.into_iter().map(|asked| entry(asked, Err(failure.clone()))).collect(),
    };
    AlterClientQuotasResponse { entries, ..Default::default() }
}

fn alteration(entry: &AskedEntry) -> QuotaAlteration {
    let entity = entry.entity.iter();
    let ops = entry.ops.iter();
    QuotaAlteration {
        entity: entity.map(|e| (e.entity_type.detached(), e.entity_name.as_ref().map(Str::detached))).collect(),
        ops: ops.map(|op| (op.key.detached(), (!op.remove).then_some(op.value))).collect(),
    }
}

fn entry(asked: AskedEntry, outcome: Result<(), Failure>) -> EntryData {
    let entity = asked.entity.into_iter().map(|entity| EntityData {
        entity_type: entity.entity_type,
        entity_name: entity.entity_name,
        ..Default::default()
    });
    let (error_code, error_message) = fields(outcome);
    EntryData { error_code, error_message, entity: entity.collect(), ..Default::default() }
}
